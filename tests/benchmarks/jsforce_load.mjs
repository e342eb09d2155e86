// jsforce as a user would call it: records in, one load, answers joined by the code. Arguments: URL, CSV file, answers.
import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const jsforce = require("jsforce");
const { parse } = require("csv-parse/sync");
const [url, source, target] = process.argv.slice(2);
const rows = parse(fs.readFileSync(source), { columns: true });

const began = process.hrtime.bigint();
const used = process.cpuUsage();
const conn = new jsforce.Connection({ instanceUrl: url, accessToken: "canned", version: "66.0" });
conn.bulk2.pollInterval = 1;
const done = await conn.bulk2.loadAndWaitForResults({ object: "Plain__c", operation: "insert", input: rows });
const answers = new Map();
for (const row of done.successfulResults) answers.set(row.Code__c, row.sf__Id);
for (const row of done.failedResults) answers.set(row.Code__c, "");
const joined = rows.map((row) => ({ ...row, sf__Id: answers.get(row.Code__c) }));
const cpu = process.cpuUsage(used);
const cost = {
  wall: Number(process.hrtime.bigint() - began) / 1e9,
  cpu: (cpu.user + cpu.system) / 1e6,
  peak: process.resourceUsage().maxRSS / 1e3,
};
fs.writeFileSync(target, ["Code__c,sf__Id", ...joined.map((row) => `${row.Code__c},${row.sf__Id ?? "lost"}`)].join("\n"));
console.log(JSON.stringify(cost));
