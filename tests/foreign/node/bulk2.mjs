// jsforce and Bulk API 2.0: loads, queries, jobs step by step.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { check, collected, connect, heard, internal } from "./checks.mjs";

const { QueryJobV2 } = internal("api/bulk2");
const conn = connect();
const bulk2 = conn.bulk2;

function rows(prefix, count) {
  return Array.from({ length: count }, (_, n) => ({
    Name: `${prefix} "${n}", Inc.`,
    Ext_Id__c: `${prefix}${n}`,
    Active__c: n % 2 === 0,
  }));
}

async function inserted(prefix, count) {
  const done = await bulk2.loadAndWaitForResults({ object: "Account", operation: "insert", input: rows(prefix, count) });
  assert.equal(done.successfulResults.length, count);
  return done.successfulResults.map((row) => row.sf__Id);
}

async function stored(condition, scanAll = false) {
  const found = await conn.query(`SELECT Id, Name, Ext_Id__c, Active__c, Site, IsDeleted FROM Account WHERE ${condition} ORDER BY Ext_Id__c`, {
    scanAll,
  });
  return found.records;
}

await check("BulkV2.loadAndWaitForResults: insert of records", async () => {
  const input = [...rows("bi", 5), { Name: "Twice", Ext_Id__c: "bi0", Active__c: true }];
  const done = await bulk2.loadAndWaitForResults({ object: "Account", operation: "insert", input });
  assert.deepEqual(
    done.successfulResults.map((row) => [row.Ext_Id__c, row.sf__Created]).sort(),
    ["bi0", "bi1", "bi2", "bi3", "bi4"].map((key) => [key, "true"]),
  );
  assert.match(done.failedResults[0].sf__Error, /^DUPLICATE_VALUE:duplicate value found: Ext_Id__c/);
  assert.deepEqual([done.failedResults.length, done.unprocessedRecords], [1, []]);
  assert.deepEqual(
    (await stored("Ext_Id__c LIKE 'bi%'")).map((row) => [row.Name, row.Active__c]),
    rows("bi", 5).map((row) => [row.Name, row.Active__c]),
  );
});

await check("BulkV2.loadAndWaitForResults: insert of CSV text", async () => {
  const input = 'Name,Ext_Id__c\n"Wide, Inc.",bt0\nPlain,bt1\n';
  const done = await bulk2.loadAndWaitForResults({ object: "Account", operation: "insert", input });
  assert.deepEqual([done.successfulResults.length, done.failedResults.length], [2, 0]);
  assert.deepEqual((await stored("Ext_Id__c LIKE 'bt%'")).map((row) => row.Name), ["Wide, Inc.", "Plain"]);
});

await check("BulkV2.loadAndWaitForResults: insert of a stream", async () => {
  const input = Readable.from(["Name,Ext_Id__c\r\n", "Str", "eamed,bs0\r\nStreamed too,", "bs1\r\n"]);
  const done = await bulk2.loadAndWaitForResults({ object: "Account", operation: "insert", input, lineEnding: "CRLF" });
  assert.deepEqual([done.successfulResults.length, done.failedResults.length], [2, 0]);
  assert.deepEqual((await stored("Ext_Id__c LIKE 'bs%'")).map((row) => row.Name), ["Streamed", "Streamed too"]);
});

await check("BulkV2.loadAndWaitForResults: update", async () => {
  const ids = await inserted("bu", 3);
  const input = ids.map((Id, n) => ({ Id, Site: n === 0 ? null : `Site ${n}` }));
  const done = await bulk2.loadAndWaitForResults({ object: "Account", operation: "update", input });
  assert.deepEqual(done.successfulResults.map((row) => row.sf__Created), ["false", "false", "false"]);
  assert.deepEqual(
    Object.fromEntries((await stored("Ext_Id__c LIKE 'bu%'")).map((row) => [row.Id, row.Site])),
    Object.fromEntries(input.map((row) => [row.Id, row.Site])),
  );
});

await check("BulkV2.loadAndWaitForResults: upsert", async () => {
  await inserted("bx", 1);
  const input = [
    { Ext_Id__c: "bx0", Name: "Known" },
    { Ext_Id__c: "bx1", Name: "New" },
  ].map((row) => `${row.Ext_Id__c},${row.Name}`);
  const done = await bulk2.loadAndWaitForResults({
    object: "Account",
    operation: "upsert",
    externalIdFieldName: "Ext_Id__c",
    input: ["Ext_Id__c,Name", ...input, ""].join("\n"),
  });
  assert.deepEqual(done.successfulResults.map((row) => [row.Ext_Id__c, row.sf__Created]).sort(), [
    ["bx0", "false"],
    ["bx1", "true"],
  ]);
  assert.deepEqual((await stored("Ext_Id__c LIKE 'bx%'")).map((row) => row.Name), ["Known", "New"]);
});

await check("BulkV2.loadAndWaitForResults: delete", async () => {
  const ids = await inserted("bd", 2);
  const done = await bulk2.loadAndWaitForResults({
    object: "Account",
    operation: "delete",
    input: [...ids.map((Id) => ({ Id })), { Id: "001000000000000AAA" }],
  });
  assert.deepEqual(done.successfulResults.map((row) => row.sf__Id).sort(), ids.sort());
  assert.match(done.failedResults[0].sf__Error, /^INVALID_CROSS_REFERENCE_KEY|^ENTITY_IS_DELETED|^MALFORMED_ID/);
  assert.deepEqual(await stored("Ext_Id__c LIKE 'bd%'"), []);
  assert.deepEqual((await stored("Ext_Id__c LIKE 'bd%'", true)).map((row) => row.IsDeleted), [true, true]);
});

await check("BulkV2.loadAndWaitForResults: hardDelete", async () => {
  const ids = await inserted("bh", 2);
  const done = await bulk2.loadAndWaitForResults({
    object: "Account",
    operation: "hardDelete",
    input: ids.map((Id) => ({ Id })),
  });
  assert.equal(done.successfulResults.length, 2);
  assert.deepEqual(await stored("Ext_Id__c LIKE 'bh%'", true), []);
});

await check("BulkV2.loadAndWaitForResults: an object that is unknown", async () => {
  await assert.rejects(
    bulk2.loadAndWaitForResults({ object: "Nothing__c", operation: "insert", input: [{ Name: "x" }] }),
    (error) => error.errorCode === "INVALIDENTITY" || error.name === "INVALIDENTITY",
  );
});

await check("BulkV2.query: records", async () => {
  await inserted("bq", 3);
  const records = await collected(await bulk2.query("SELECT Name, Active__c, Site FROM Account WHERE Ext_Id__c LIKE 'bq%' ORDER BY Name"));
  assert.deepEqual(
    records,
    rows("bq", 3).map((row) => ({ Name: row.Name, Active__c: String(row.Active__c), Site: "" })),
  );
});

await check("BulkV2.query: record events", async () => {
  await inserted("be", 2);
  const stream = await bulk2.query("SELECT Name FROM Account WHERE Ext_Id__c LIKE 'be%' ORDER BY Name");
  const names = [];
  await new Promise((resolve, reject) => {
    stream.on("record", (record) => names.push(record.Name));
    stream.on("error", reject);
    stream.on("end", resolve);
  });
  assert.deepEqual(names, rows("be", 2).map((row) => row.Name));
});

await check("BulkV2.query: scanAll", async () => {
  const ids = await inserted("ba", 2);
  await bulk2.loadAndWaitForResults({ object: "Account", operation: "delete", input: [{ Id: ids[0] }] });
  const records = await collected(
    await bulk2.query("SELECT Id, IsDeleted FROM Account WHERE Ext_Id__c LIKE 'ba%'", { scanAll: true }),
  );
  assert.deepEqual(
    Object.fromEntries(records.map((row) => [row.Id, row.IsDeleted])),
    Object.fromEntries([[ids[0], "true"], [ids[1], "false"]]),
  );
});

await check("BulkV2.query: a query that is wrong", async () => {
  await assert.rejects(bulk2.query("SELECT Nothing FROM Account"), (error) => {
    assert.equal(error.errorCode, "INVALID_FIELD"); // bulk2.md 4: the texts and codes of REST
    assert.match(error.message, /No such column 'Nothing' on entity 'Account'/);
    return true;
  });
});

await check("BulkV2.createJob", async () => {
  const job = bulk2.createJob({ object: "Account", operation: "insert" });
  const events = heard(job, "open", "close", "inProgress", "jobComplete", "error");
  const opened = await job.open();
  assert.deepEqual(
    [opened.state, opened.object, opened.operation, opened.contentType, opened.lineEnding, opened.columnDelimiter],
    ["Open", "Account", "insert", "CSV", "LF", "COMMA"],
  );
  await job.uploadData(rows("bc", 2));
  await job.close();
  await job.poll(50, 20_000);
  assert.deepEqual(events.filter((name) => name !== "inProgress"), ["open", "close", "jobComplete"]);
});

const steps = bulk2.createJob({ object: "Account", operation: "insert" });

await check("IngestJobV2.open", async () => {
  const info = await steps.open();
  assert.equal(info.id.length, 18);
  assert.deepEqual([info.state, info.concurrencyMode, info.contentUrl], [
    "Open",
    "Parallel",
    `services/data/v${conn.version}/jobs/ingest/${info.id}/batches`,
  ]);
});
await check("IngestJobV2.uploadData", async () => {
  await steps.uploadData([...rows("bj", 2), { Name: "", Ext_Id__c: "bj9", Active__c: false }]);
});
await check("IngestJobV2.close", async () => {
  await steps.close();
  assert.equal(steps.getInfo().state, "UploadComplete");
});
await check("IngestJobV2.poll", async () => {
  await steps.poll(50, 20_000);
  await assert.rejects(steps.poll(50, 0), { name: "JobPollingTimeout" });
});
await check("IngestJobV2.check", async () => {
  const info = await steps.check();
  assert.deepEqual([info.state, info.numberRecordsProcessed, info.numberRecordsFailed, info.retries], ["JobComplete", 3, 1, 0]);
});
await check("IngestJobV2.getInfo", async () => {
  assert.deepEqual(steps.getInfo(), await steps.check());
});
await check("IngestJobV2.getSuccessfulResults", async () => {
  const results = await steps.getSuccessfulResults();
  assert.deepEqual(Object.keys(results[0]).slice(0, 2), ["sf__Id", "sf__Created"]);
  assert.deepEqual(results.map((row) => row.Ext_Id__c).sort(), ["bj0", "bj1"]);
  assert.match(await steps.getSuccessfulResults(true), /^"sf__Id","sf__Created",/);
});
await check("IngestJobV2.getFailedResults", async () => {
  const results = await steps.getFailedResults();
  assert.deepEqual(results.map((row) => [row.sf__Id, row.sf__Error, row.Ext_Id__c]), [
    ["", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --", "bj9"],
  ]);
  assert.match(await steps.getFailedResults(true), /^"sf__Id","sf__Error",/);
});
await check("IngestJobV2.getUnprocessedRecords", async () => {
  assert.deepEqual(await steps.getUnprocessedRecords(), []);
  assert.equal((await steps.getUnprocessedRecords(true)).trim().replaceAll('"', ""), "Name,Ext_Id__c,Active__c");
});
await check("IngestJobV2.getAllResults", async () => {
  const all = await steps.getAllResults();
  assert.deepEqual(
    [all.successfulResults.length, all.failedResults.length, all.unprocessedRecords.length],
    [2, 1, 0],
  );
});
await check("BulkV2.job: ingest", async () => {
  const again = bulk2.job("ingest", { id: steps.id });
  assert.equal((await again.check()).state, "JobComplete");
  assert.equal((await again.getSuccessfulResults()).length, 2);
});
await check("IngestJobV2.abort", async () => {
  const job = bulk2.createJob({ object: "Account", operation: "insert" });
  const events = heard(job, "aborted");
  await job.open();
  await job.abort();
  assert.deepEqual([job.getInfo().state, events], ["Aborted", ["aborted"]]);
  await assert.rejects(job.poll(50, 5_000), /Job has been aborted/);
});
await check("IngestJobV2.delete", async () => {
  await steps.delete();
  await assert.rejects(steps.check(), { errorCode: "NOT_FOUND" });
});

async function queryJob(soql) {
  const created = await conn.requestPost("/jobs/query", { operation: "query", query: soql });
  return bulk2.job("query", { id: created.id });
}

await inserted("bk", 3);
const QUERY = "SELECT Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'bk%' ORDER BY Ext_Id__c";
const reading = await queryJob(QUERY);

await check("BulkV2.job: query", async () => {
  assert.equal((await reading.check()).id, reading.id);
});
await check("QueryJobV2.open", async () => {
  const job = new QueryJobV2(conn, { bodyParams: { operation: "query", query: QUERY }, pollingOptions: bulk2 });
  const events = heard(job, "open", "jobComplete", "error");
  const info = await job.open();
  assert.deepEqual([info.operation, info.object, info.state], ["query", "Account", "UploadComplete"]);
  await job.poll();
  assert.deepEqual(events, ["open", "jobComplete"]);
});
await check("QueryJobV2.poll", async () => {
  await reading.poll(50, 20_000);
});
await check("QueryJobV2.check", async () => {
  const info = await reading.check();
  assert.deepEqual([info.state, info.numberRecordsProcessed], ["JobComplete", 3]);
});
await check("QueryJobV2.getInfo", async () => {
  assert.equal(reading.getInfo().state, "JobComplete");
});
await check("QueryJobV2.result", async () => {
  assert.deepEqual(await collected(await reading.result()), [{ Ext_Id__c: "bk0" }, { Ext_Id__c: "bk1" }, { Ext_Id__c: "bk2" }]);
});
await check("QueryJobV2.delete", async () => {
  await reading.delete();
  await assert.rejects(reading.check(), { errorCode: "NOT_FOUND" });
});
await check("QueryJobV2.abort", async () => {
  const job = await queryJob(QUERY);
  try {
    await job.abort();
    assert.equal(job.getInfo().state, "Aborted");
  } catch (error) {
    // It was faster than the abort: a job that has ended cannot be aborted (bulk2.md 4).
    assert.equal(error.errorCode, "INVALIDJOBSTATE", error.stack);
  }
});
