// What all scripts here share: jsforce, connections to the org that is judged, and the lines that a check prints.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.CLIENTS, "package.json"));

export const jsforce = require("jsforce");

// A module of jsforce whose classes it makes but does not export.
export const internal = (path) => require(`jsforce/lib/${path}`);

// url, access_token, username, password ... as `sfframe org serve` prints them.
export const org = JSON.parse(process.env.ORG);

// A connection by session id, polling fast enough for a test.
export function connect(options = {}) {
  const conn = new jsforce.Connection({
    instanceUrl: org.url,
    accessToken: org.access_token,
    loginUrl: org.url,
    logLevel: "NONE",
    ...options,
  });
  for (const bulk of [conn.bulk, conn.bulk2]) {
    bulk.pollInterval = 50;
    bulk.pollTimeout = 20_000;
  }
  return conn;
}

// A job of jsforce that fails leaves a promise that nobody waits for; the check that made the job tells of the failure.
process.on("unhandledRejection", () => {});

// Runs one check and prints how it went; a check that hangs fails after 30 seconds.
export async function check(name, body) {
  const line = { check: name, ok: true, detail: "" };
  let timer;
  try {
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("no answer within 30 seconds")), 30_000);
    });
    await Promise.race([body(), limit]);
  } catch (error) {
    line.ok = false;
    line.detail = String(error?.stack ?? error).slice(0, 2_000);
  }
  clearTimeout(timer);
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// The records of a stream of records, or the text of any other.
export async function collected(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return typeof parts[0] === "object" && !Buffer.isBuffer(parts[0]) ? parts : Buffer.concat(parts.map(Buffer.from)).toString();
}

// The events that an emitter sends, by name and in order, without repetitions.
export function heard(emitter, ...names) {
  const events = [];
  for (const name of names) {
    emitter.on(name, () => {
      if (!events.includes(name)) events.push(name);
    });
  }
  return events;
}
