// jsforce and Bulk API 1.0: loads and queries with events and streams; jobs and batches step by step.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { check, collected, connect, heard } from "./checks.mjs";

const conn = connect();
const bulk = conn.bulk;
const account = conn.sobject("Account");

const rows = (prefix, count) =>
  Array.from({ length: count }, (_, n) => ({ Name: `${prefix} "${n}", Inc.`, Ext_Id__c: `${prefix}${n}`, Active__c: n % 2 === 0 }));
const inserted = async (prefix, count) => (await bulk.load("Account", "insert", rows(prefix, count))).map((row) => row.id);
const stored = async (prefix, scanAll = false) =>
  (await conn.query(`SELECT Id, Name, Ext_Id__c, Site, IsDeleted FROM Account WHERE Ext_Id__c LIKE '${prefix}%' ORDER BY Ext_Id__c`, { scanAll })).records;
const done = (created) => (row) => /^001\w{15}$/.test(row.id) && row.success && row.created === created && row.errors.length === 0;
const once = (emitter, name) =>
  new Promise((resolve, reject) => {
    emitter.once(name, resolve);
    emitter.once("error", reject);
  });

await check("Bulk.load: insert of records", async () => {
  const results = await bulk.load("Account", "insert", [...rows("oi", 3), { Name: "", Ext_Id__c: "oi9", Active__c: true }]);
  assert.deepEqual(results.slice(0, 3).map(done(true)), [true, true, true]);
  assert.deepEqual(results[3], {
    id: null,
    success: false,
    created: false,
    errors: ["REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"],
  });
  assert.deepEqual((await stored("oi")).map((row) => [row.Id, row.Name]), rows("oi", 3).map((row, n) => [results[n].id, row.Name]));
});
await check("Bulk.load: insert of CSV text", async () => {
  const results = await bulk.load("Account", "insert", 'Name,Ext_Id__c\n"Wide, Inc.",ot0\nPlain,ot1\n');
  assert.deepEqual(results.map(done(true)), [true, true]);
  assert.deepEqual((await stored("ot")).map((row) => row.Name), ["Wide, Inc.", "Plain"]);
});
await check("Bulk.load: insert of a stream", async () => {
  const results = await bulk.load("Account", "insert", Readable.from(["Name,Ext_", "Id__c\nStreamed,os0\nStreamed too,os1\n"]));
  assert.deepEqual(results.map(done(true)), [true, true]);
});
await check("Bulk.load: piping into batch.stream()", async () => {
  const batch = bulk.load("Account", "insert");
  const response = once(batch, "response");
  Readable.from(["Name,Ext_Id__c\nPiped,op0\n"]).pipe(batch.stream());
  assert.deepEqual((await response).map(done(true)), [true]);
});
await check("Bulk.load: events", async () => {
  const batch = bulk.load("Account", "insert", rows("oe", 2));
  const events = heard(batch, "queue", "response", "error");
  const queued = await once(batch, "queue");
  assert.match(queued.id, /^751\w{15}$/);
  assert.match(queued.jobId, /^750\w{15}$/);
  assert.ok(["Queued", "InProgress", "Completed"].includes(queued.state));
  const results = await once(batch, "response");
  assert.deepEqual([results.map(done(true)), events], [[true, true], ["queue", "response"]]);
});
await check("Bulk.load: update", async () => {
  const ids = await inserted("ou", 2);
  const results = await bulk.load("Account", "update", [
    { Id: ids[0], Site: "there" },
    { Id: ids[1], Site: null },
    { Id: "001000000000000AAA", Site: "x" },
  ]);
  assert.deepEqual(results.slice(0, 2).map(done(false)), [true, true]);
  assert.match(results[2].errors[0], /^INVALID_CROSS_REFERENCE_KEY:invalid cross reference id/);
  assert.deepEqual((await stored("ou")).map((row) => row.Site), ["there", null]);
});
await check("Bulk.load: upsert", async () => {
  await inserted("ox", 1);
  const results = await bulk.load("Account", "upsert", { extIdField: "Ext_Id__c" }, [
    { Ext_Id__c: "ox0", Name: "Known" },
    { Ext_Id__c: "ox1", Name: "New" },
  ]);
  assert.deepEqual([done(false)(results[0]), done(true)(results[1])], [true, true]);
  assert.deepEqual((await stored("ox")).map((row) => row.Name), ["Known", "New"]);
});
await check("Bulk.load: delete", async () => {
  const ids = await inserted("od", 2);
  const results = await bulk.load("Account", "delete", ids.map((Id) => ({ Id })));
  assert.deepEqual(results.map((row) => [row.id, row.success]), ids.map((id) => [id, true]));
  assert.deepEqual([await stored("od"), (await stored("od", true)).length], [[], 2]);
});
await check("Bulk.load: hardDelete", async () => {
  const ids = await inserted("oh", 2);
  const results = await bulk.load("Account", "hardDelete", ids.map((Id) => ({ Id })));
  assert.deepEqual([results.map((row) => row.success), await stored("oh", true)], [[true, true], []]);
});
await check("Bulk.load: an object that is unknown", async () => {
  await assert.rejects(Promise.resolve(bulk.load("Nothing__c", "insert", rows("on", 1))), { errorCode: "InvalidJob" });
});
await check("Bulk.load: a session that ended", async () => {
  const ended = connect({ accessToken: "00D000000000000!ended" });
  await assert.rejects(Promise.resolve(ended.bulk.load("Account", "insert", rows("oz", 1))), { errorCode: "InvalidSessionId" });
});
await check("Bulk.pollTimeout", async () => {
  const hurried = connect();
  hurried.bulk.pollInterval = 1;
  hurried.bulk.pollTimeout = -1;
  await assert.rejects(Promise.resolve(hurried.bulk.load("Account", "insert", rows("ol", 1))), (error) => {
    assert.equal(error.name, "PollingTimeout");
    assert.match(error.jobId, /^750/);
    assert.match(error.batchId, /^751/);
    return true;
  });
});

await check("Bulk.query: records", async () => {
  await inserted("oq", 3);
  const records = await collected(await bulk.query("SELECT Name, Active__c, Site FROM Account WHERE Ext_Id__c LIKE 'oq%' ORDER BY Name"));
  assert.deepEqual(records, rows("oq", 3).map((row) => ({ Name: row.Name, Active__c: String(row.Active__c), Site: "" })));
});
await check("Bulk.query: record events", async () => {
  await inserted("or", 2);
  const stream = await bulk.query("SELECT Name FROM Account WHERE Ext_Id__c LIKE 'or%' ORDER BY Name");
  const names = [];
  stream.on("record", (record) => names.push(record.Name));
  await once(stream, "end");
  assert.deepEqual(names, rows("or", 2).map((row) => row.Name));
});
await check("Bulk.query: CSV stream", async () => {
  await inserted("ov", 1);
  const stream = await bulk.query("SELECT Ext_Id__c, Name FROM Account WHERE Ext_Id__c LIKE 'ov%'");
  assert.equal(await collected(stream.stream("csv")), '"Ext_Id__c","Name"\n"ov0","ov ""0"", Inc."\n');
});
await check("Bulk.query: nothing found", async () => {
  assert.equal((await collected(await bulk.query("SELECT Id FROM Account WHERE Name = 'nobody at all'"))).length, 0);
});
await check("Bulk.query: a query that is wrong", async () => {
  await assert.rejects(bulk.query("SELECT Nothing FROM Account"), /^Error: InvalidBatch : .*No such column 'Nothing' on entity 'Account'/s);
});

const job = bulk.createJob("Account", "insert", { concurrencyMode: "Serial" });
const events = heard(job, "open", "close", "abort", "error");
let batch;
let jobId;

await check("Bulk.createJob", async () => {
  assert.deepEqual([job.type, job.operation, job.state], ["Account", "insert", "Unknown"]);
});
await check("Job.open", async () => {
  const info = await job.open();
  jobId = info.id;
  assert.match(info.id, /^750\w{15}$/);
  assert.deepEqual(
    [info.object, info.operation, info.state, info.concurrencyMode, info.contentType, job.state],
    ["Account", "insert", "Open", "Serial", "CSV", "Open"],
  );
});
await check("Job.ready", async () => {
  assert.equal(await job.ready(), jobId);
});
await check("Job.info", async () => {
  assert.equal((await job.info()).id, jobId);
});
await check("Job.createBatch", async () => {
  batch = job.createBatch();
  assert.equal(batch.job, job);
});
await check("Batch.execute", async () => {
  const queued = once(batch, "queue");
  const response = once(batch, "response");
  batch.execute(rows("oj", 2));
  await queued;
  batch.poll(50, 20_000);
  assert.deepEqual((await response).map(done(true)), [true, true]);
});
for (const name of ["run", "exec"]) {
  await check(`Batch.${name}`, async () => {
    const another = job.createBatch();
    another.on("queue", () => another.poll(50, 20_000));
    assert.deepEqual((await another[name](rows(`o${name}`, 1))).map(done(true)), [true]);
  });
}
await check("Batch.then", async () => {
  const batches = ["om", "ok"].map((prefix) => {
    const another = job.createBatch();
    another.on("queue", () => another.poll(50, 20_000));
    return another.execute(rows(prefix, 2));
  });
  const results = await Promise.all(batches.map((one) => one.then((found) => found.map(done(true)))));
  assert.deepEqual(results, [[true, true], [true, true]]);
});
await check("Batch.check", async () => {
  const info = await batch.check();
  assert.deepEqual(
    [info.id, info.jobId, info.state, info.numberRecordsProcessed, info.numberRecordsFailed],
    [batch.id, jobId, "Completed", "2", "0"],
  );
});
await check("Batch.retrieve", async () => {
  assert.deepEqual((await batch.retrieve()).map(done(true)), [true, true]);
});
await check("Batch.poll", async () => {
  const response = once(batch, "response");
  batch.poll(10, 20_000);
  assert.equal((await response).length, 2);
  assert.throws(() => batch.poll(10, 0), { name: "PollingTimeout" });
});
await check("Batch.stream", async () => {
  const another = job.createBatch();
  another.on("queue", () => another.poll(50, 20_000));
  const response = once(another, "response");
  another.stream().end("Name\nThrough a stream\n");
  assert.deepEqual((await response).map(done(true)), [true]);
});
await check("Job.batch", async () => {
  const same = bulk.job(jobId).batch(batch.id);
  assert.equal((await same.check()).state, "Completed");
});
await check("Job.check", async () => {
  const info = await job.check();
  assert.deepEqual(
    [info.state, info.numberBatchesTotal, info.numberBatchesCompleted, info.numberBatchesFailed, info.numberRecordsProcessed],
    ["Open", "6", "6", "0", "9"],
  );
});
await check("Job.list", async () => {
  const listed = await job.list();
  assert.deepEqual([listed.length, new Set(listed.map((one) => one.state)), listed[0].id], [6, new Set(["Completed"]), batch.id]);
});
await check("Bulk.job", async () => {
  const same = bulk.job(jobId);
  assert.deepEqual([(await same.check()).id, same.type, same.operation], [jobId, "Account", "insert"]);
});
await check("Job.close", async () => {
  const info = await job.close();
  assert.deepEqual([info.id, info.state, events], [jobId, "Closed", ["open", "close"]]);
});
await check("Job: closed twice", async () => {
  const same = bulk.job(jobId);
  await assert.rejects(same.close(), { errorCode: "InvalidJobState" });
  await assert.rejects(Promise.resolve(bulk.job(jobId).createBatch().execute(rows("ow", 1))), { errorCode: "InvalidJobState" });
});
await check("Job.abort", async () => {
  const aborted = bulk.createJob("Account", "insert");
  const told = heard(aborted, "open", "abort");
  await aborted.open();
  const info = await aborted.abort();
  assert.deepEqual([info.state, told], ["Aborted", ["open", "abort"]]);
});
await check("Job: one that is unknown", async () => {
  await assert.rejects(bulk.job("750000000000000AAA").check(), { errorCode: "InvalidJob" });
});
for (const operation of ["query", "queryAll"]) {
  await check(`Batch.result: ${operation}`, async () => {
    const reading = bulk.createJob("Account", operation);
    await reading.open();
    const asked = reading.createBatch();
    asked.on("queue", () => asked.poll(50, 20_000));
    const results = await asked.execute("SELECT Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'oj%' ORDER BY Ext_Id__c");
    assert.match(results[0].id, /^752\w{12,15}$/);
    const records = await collected(asked.result(results[0].id));
    assert.deepEqual(records, [{ Ext_Id__c: "oj0" }, { Ext_Id__c: "oj1" }]);
    assert.equal((await reading.close()).state, "Closed");
  });
}

await check("SObject.bulkload", async () => {
  assert.deepEqual((await account.bulkload("insert", rows("sl", 1))).map(done(true)), [true]);
});
for (const name of ["createBulk", "insertBulk"]) {
  await check(`SObject.${name}`, async () => {
    assert.deepEqual((await account[name](rows(name, 2))).map(done(true)), [true, true]);
  });
}
await check("SObject.updateBulk", async () => {
  const [Id] = await inserted("su", 1);
  assert.deepEqual((await account.updateBulk([{ Id, Site: "x" }])).map(done(false)), [true]);
});
await check("SObject.upsertBulk", async () => {
  assert.deepEqual((await account.upsertBulk(rows("sx", 1), "Ext_Id__c")).map(done(true)), [true]);
});
for (const name of ["destroyBulk", "deleteBulk", "destroyHardBulk", "deleteHardBulk"]) {
  await check(`SObject.${name}`, async () => {
    const [Id] = await inserted(name, 1);
    assert.deepEqual((await account[name]([{ Id }])).map((row) => [row.id, row.success]), [[Id, true]]);
    assert.equal((await stored(name, true)).length, name.includes("Hard") ? 0 : 1);
  });
}
