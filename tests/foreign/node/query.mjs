// jsforce and queries: pages, locators, events, streams, the query builder, bulk changes of what a query finds.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { check, collected, connect, heard, jsforce } from "./checks.mjs";

const COUNT = 450;
const PAGE = { headers: { "Sforce-Query-Options": "batchSize=200" } };
const conn = connect();

const key = (n) => `q${String(n).padStart(3, "0")}`;
const parents = Array.from({ length: COUNT }, (_, n) => ({ Name: `Parent ${n}`, Ext_Id__c: key(n), Site: n % 2 ? "odd" : null }));
const made = await conn.bulk2.loadAndWaitForResults({ object: "Account", operation: "insert", input: parents });
const ids = Object.fromEntries(made.successfulResults.map((row) => [row.Ext_Id__c, row.sf__Id]));
const children = Array.from({ length: 3 }, (_, n) => ({ LastName: `Child ${n}`, AccountId: ids[key(0)], Ext_Id__c: key(n) }));
await conn.bulk2.loadAndWaitForResults({ object: "Contact", operation: "insert", input: children });

const ALL = "SELECT Id, Name, Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'q%' ORDER BY Ext_Id__c";
const NAMES = parents.map((row) => row.Name);

await check("Connection.query", async () => {
  const result = await conn.query(ALL);
  assert.deepEqual([result.totalSize, result.done], [COUNT, true]);
  assert.deepEqual(result.records.map((row) => row.Name), NAMES);
  assert.deepEqual(result.records[0].attributes, {
    type: "Account",
    url: `/services/data/v${conn.version}/sobjects/Account/${ids[key(0)]}`,
  });
});
await check("Connection.query: first page", async () => {
  const result = await conn.query(ALL, PAGE);
  assert.deepEqual([result.totalSize, result.done, result.records.length], [COUNT, false, 200]);
  assert.match(result.nextRecordsUrl, /\/query\/0r8\w{15}-200$/);
});
await check("Connection.query: count()", async () => {
  assert.equal((await conn.query("SELECT count() FROM Account WHERE Ext_Id__c LIKE 'q%'")).totalSize, COUNT);
});
await check("Connection.query: aggregates", async () => {
  const result = await conn.query(
    "SELECT Site, COUNT(Id) how_many FROM Account WHERE Ext_Id__c LIKE 'q%' GROUP BY Site ORDER BY Site NULLS FIRST",
  );
  assert.deepEqual(result.records.map(({ Site, how_many }) => [Site, how_many]), [[null, COUNT / 2], ["odd", COUNT / 2]]);
  assert.equal(result.records[0].attributes.type, "AggregateResult");
});
await check("Connection.query: parents and children", async () => {
  const up = await conn.query("SELECT LastName, Account.Name, Account.Owner.Name FROM Contact WHERE Ext_Id__c = 'q001'");
  assert.deepEqual([up.records[0].Account.Name, typeof up.records[0].Account.Owner.Name], ["Parent 0", "string"]);
  const down = await conn.query(
    `SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account WHERE Ext_Id__c IN ('q000', 'q001') ORDER BY Ext_Id__c`,
  );
  assert.deepEqual(down.records[0].Contacts.records.map((row) => row.LastName), ["Child 0", "Child 1", "Child 2"]);
  assert.deepEqual([down.records[0].Contacts.totalSize, down.records[1].Contacts], [3, null]);
});
await check("Connection.query: errors", async () => {
  await assert.rejects(conn.query("SELECT Nothing FROM Account"), { errorCode: "INVALID_FIELD" });
  await assert.rejects(conn.query("SELECT Id FROM Nothing__c"), { errorCode: "INVALID_TYPE" });
  await assert.rejects(conn.query("SELECT FROM Account"), { errorCode: "MALFORMED_QUERY" });
});
await check("Connection.queryMore", async () => {
  const first = await conn.query(ALL, PAGE);
  const second = await conn.queryMore(first.nextRecordsUrl);
  const third = await conn.queryMore(second.nextRecordsUrl.split("/").pop());
  assert.deepEqual([second.done, third.done, third.nextRecordsUrl], [false, true, undefined]);
  const names = [first, second, third].flatMap((page) => page.records.map((row) => row.Name));
  assert.deepEqual(names, NAMES);
});
await check("Connection.queryMore: a locator that is lost", async () => {
  await assert.rejects(conn.queryMore("01g000000000000AAA-2000"), { errorCode: "INVALID_QUERY_LOCATOR" });
});
await check("Query.autoFetch", async () => {
  const result = await conn.query(ALL, { ...PAGE, autoFetch: true });
  assert.deepEqual([result.totalSize, result.done, result.records.map((row) => row.Name)], [COUNT, true, NAMES]);
  const chained = await conn.query(ALL, PAGE).autoFetch(true);
  assert.equal(chained.records.length, COUNT);
});
await check("Query.maxFetch", async () => {
  const result = await conn.query(ALL, PAGE).autoFetch(true).maxFetch(250);
  assert.deepEqual(result.records.map((row) => row.Name), NAMES.slice(0, 250));
});
await check("Query.execute: events", async () => {
  const query = conn.query(ALL, { ...PAGE, autoFetch: true });
  const events = heard(query, "fetch", "record", "response", "end");
  const names = [];
  query.on("record", (record) => names.push(record.Name));
  await new Promise((resolve, reject) => {
    query.on("end", resolve);
    query.on("error", reject);
    query.execute();
  });
  assert.deepEqual([names, events], [NAMES, ["fetch", "record", "response", "end"]]);
});
await check("Query.run", async () => {
  assert.equal((await conn.query(ALL).run()).records.length, COUNT);
});
await check("Query.exec", async () => {
  assert.equal((await conn.query(ALL).exec()).records.length, COUNT);
});
await check("Query.then", async () => {
  assert.equal(await conn.query(ALL).then((result) => result.totalSize), COUNT);
});
await check("Query.catch", async () => {
  assert.equal(await conn.query("SELECT").catch((error) => error.errorCode), "MALFORMED_QUERY");
});
await check("Query.promise", async () => {
  assert.equal((await conn.query(ALL).promise()).totalSize, COUNT);
});
await check("Query.stream: records", async () => {
  const records = await collected(conn.query(ALL, PAGE).stream("record"));
  assert.deepEqual(records.map((row) => row.Name), NAMES);
});
await check("Query.stream: CSV", async () => {
  const text = await collected(conn.query("SELECT Name, Site FROM Account WHERE Ext_Id__c IN ('q000', 'q001') ORDER BY Name").stream("csv"));
  assert.equal(text, "Name,Site\nParent 0,\nParent 1,odd\n");
});
await check("Query.pipe", async () => {
  const out = conn.query(ALL, PAGE).pipe(new PassThrough({ objectMode: true }));
  assert.equal((await collected(out)).length, COUNT);
});
await check("Query.scanAll", async () => {
  const [row] = await conn.bulk2
    .loadAndWaitForResults({ object: "Account", operation: "insert", input: [{ Name: "Gone", Ext_Id__c: "scan" }] })
    .then((all) => all.successfulResults);
  await conn.bulk2.loadAndWaitForResults({ object: "Account", operation: "delete", input: [{ Id: row.sf__Id }] });
  const soql = "SELECT Id, IsDeleted FROM Account WHERE Ext_Id__c = 'scan'";
  assert.equal((await conn.query(soql)).totalSize, 0);
  const found = await conn.query(soql).scanAll(true);
  assert.deepEqual(found.records.map(({ Id, IsDeleted }) => [Id, IsDeleted]), [[row.sf__Id, true]]);
});
await check("Query.explain", async () => {
  const { plans } = await conn.query(ALL).explain();
  assert.deepEqual(
    [plans[0].sobjectType, typeof plans[0].cardinality, typeof plans[0].relativeCost, Array.isArray(plans[0].notes)],
    ["Account", "number", "number", true],
  );
});
await check("Query.toSOQL", async () => {
  const soql = await conn.sobject("Contact").find({ LastName: "x" }, ["Account.*"]).toSOQL();
  assert.match(soql, /^SELECT .*Account\.Ext_Id__c.* FROM Contact WHERE LastName = 'x'$/);
});

const account = conn.sobject("Account");
const among = { Ext_Id__c: { $like: "q%" } };

await check("SObject.find", async () => {
  const found = await account.find(among, ["Name", "Ext_Id__c"], { sort: { Ext_Id__c: -1 }, limit: 3, offset: 1 });
  assert.deepEqual(found.map((row) => row.Ext_Id__c), ["q448", "q447", "q446"]);
});
await check("SObject.find: conditions", async () => {
  const where = {
    $and: [among, { $or: [{ Ext_Id__c: { $in: ["q001", "q003"] } }, { Name: "Parent 5" }] }],
    Site: { $ne: null },
    CreatedDate: { $gte: new jsforce.SfDate("2020-01-01T00:00:00Z") },
  };
  const found = await account.find(where, "Ext_Id__c").sort("Ext_Id__c");
  assert.deepEqual(found.map((row) => row.Ext_Id__c), ["q001", "q003", "q005"]);
});
await check("SObject.findOne", async () => {
  const one = await account.findOne({ Ext_Id__c: "q007" }, ["Id", "Name"]);
  assert.deepEqual([one.Id, one.Name], [ids.q007, "Parent 7"]);
  assert.equal(await account.findOne({ Ext_Id__c: "nothing" }), null);
});
await check("SObject.select", async () => {
  const found = await account.select("Id, Name").where("Ext_Id__c = 'q008'");
  assert.deepEqual(found.map((row) => row.Name), ["Parent 8"]);
});
await check("SObject.count", async () => {
  assert.equal(await account.count(among), COUNT);
});
await check("Query.select", async () => {
  const [row] = await account.find({ Ext_Id__c: "q009" }).select("*");
  assert.deepEqual([row.Name, row.Ext_Id__c, row.IsDeleted, "BillingAddress" in row], ["Parent 9", "q009", false, true]);
});
await check("Query.where", async () => {
  assert.deepEqual((await account.find().select("Name").where({ Ext_Id__c: "q010" })).map((row) => row.Name), ["Parent 10"]);
});
await check("Query.limit", async () => {
  assert.equal((await account.find(among, "Id").limit(4)).length, 4);
});
await check("Query.skip", async () => {
  const found = await account.find(among, "Name").sort("Ext_Id__c").limit(2).skip(5);
  assert.deepEqual(found.map((row) => row.Name), ["Parent 5", "Parent 6"]);
});
await check("Query.offset", async () => {
  const found = await account.find(among, "Name").sort("Ext_Id__c").limit(1).offset(6);
  assert.deepEqual(found.map((row) => row.Name), ["Parent 6"]);
});
await check("Query.sort", async () => {
  const found = await account.find(among, "Ext_Id__c").sort({ Site: "ASC", Ext_Id__c: "DESC" }).limit(2);
  assert.deepEqual(found.map((row) => row.Ext_Id__c), ["q448", "q446"]); // nulls first
});
await check("Query.orderby", async () => {
  assert.equal((await account.find(among, "Ext_Id__c").orderby("Ext_Id__c", "DESC").limit(1))[0].Ext_Id__c, "q449");
});
await check("Query.include", async () => {
  const [row] = await account
    .find({ Ext_Id__c: "q000" }, "Id, Name")
    .include("Contacts")
    .select("LastName")
    .where({ LastName: { $ne: "Child 1" } })
    .sort("LastName", "DESC")
    .limit(5)
    .end();
  assert.deepEqual(row.Contacts.records.map((child) => child.LastName), ["Child 2", "Child 0"]);
});
await check("Query.includeChildren", async () => {
  const [row] = await account.find({ Ext_Id__c: "q000" }, "Id", {
    includes: { Contacts: { fields: ["LastName"], conditions: { Ext_Id__c: "q001" } } },
  });
  assert.deepEqual(row.Contacts.records.map((child) => child.LastName), ["Child 1"]);
});
await check("Query.setResponseTarget", async () => {
  assert.equal(await conn.query("SELECT count() FROM Account WHERE Ext_Id__c LIKE 'q%'").setResponseTarget("Count"), COUNT);
});

const some = (from, to) =>
  account.find({ $and: [{ Ext_Id__c: { $gte: key(from) } }, { Ext_Id__c: { $lt: key(to) } }] }, "Id, Name");

await check("Query.update: collections", async () => {
  const results = await some(20, 25).update({ Site: "of ${Name}" });
  assert.deepEqual(results.map((row) => row.success), [true, true, true, true, true]);
  const found = await some(20, 25).select("Site").sort("Ext_Id__c");
  assert.deepEqual(found.map((row) => row.Site), [20, 21, 22, 23, 24].map((n) => `of Parent ${n}`));
});
await check("Query.update: Bulk API 1.0", async () => {
  const results = await some(30, 34).update(({ Id }) => ({ Id, Site: "bulk" }), { bulkThreshold: 2 });
  assert.deepEqual(results.map((row) => row.success), [true, true, true, true]);
  assert.equal(await account.count({ Site: "bulk" }), 4);
});
await check("Query.update: Bulk API 2.0", async () => {
  const results = await some(35, 39).update({ Site: "bulk 2" }, { bulkThreshold: 2, bulkApiVersion: 2 });
  assert.deepEqual(results.map((row) => row.success), [true, true, true, true]);
  assert.equal(await account.count({ Site: "bulk 2" }), 4);
});
await check("Query.destroy: collections", async () => {
  const results = await some(100, 103).destroy();
  assert.deepEqual(results.map((row) => row.success), [true, true, true]);
  assert.equal(await account.count({ Ext_Id__c: { $in: [key(100), key(101), key(102)] } }), 0);
});
await check("Query.delete: Bulk API 1.0", async () => {
  const results = await some(110, 114).delete({ bulkThreshold: 2 });
  assert.deepEqual(results.map((row) => row.success), [true, true, true, true]);
});
await check("Query.del: Bulk API 2.0", async () => {
  const results = await some(120, 124).del({ bulkThreshold: 2, bulkApiVersion: 2 });
  assert.deepEqual(results.map((row) => row.success), [true, true, true, true]);
});
