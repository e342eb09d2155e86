// jsforce and records: one, several, by external id, by reference; what changed; blobs; plain requests.
import assert from "node:assert/strict";
import { check, collected, connect } from "./checks.mjs";

const conn = connect();
const account = conn.sobject("Account");

const created = (row) => row.success && row.errors.length === 0 && /^001\w{15}$/.test(row.id);
const nameOf = async (id) => (await conn.retrieve("Account", id)).Name;

await check("Connection.create", async () => {
  const row = await conn.create("Account", { Name: "One", Ext_Id__c: "r-one", Active__c: true, AnnualRevenue: 12.5 });
  assert.ok(created(row), JSON.stringify(row));
  const stored = await conn.retrieve("Account", row.id);
  assert.deepEqual([stored.Name, stored.Ext_Id__c, stored.Active__c, stored.AnnualRevenue], ["One", "r-one", true, 13]);
});
await check("Connection.create: several", async () => {
  const rows = await conn.create("Account", [{ Name: "A" }, { Name: "" }, { Name: "C" }]);
  assert.deepEqual(rows.map((row) => row.success), [true, false, true]);
  assert.deepEqual(
    rows[1].errors.map((error) => [error.statusCode, error.message, error.fields]),
    [["REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"]]],
  );
  assert.deepEqual([await nameOf(rows[0].id), await nameOf(rows[2].id)], ["A", "C"]);
});
await check("Connection.create: allOrNone", async () => {
  const rows = await conn.create("Account", [{ Name: "r-undone" }, { Name: "" }], { allOrNone: true });
  assert.deepEqual(
    rows.map((row) => [row.success, row.errors[0].statusCode]),
    [
      [false, "ALL_OR_NONE_OPERATION_ROLLED_BACK"],
      [false, "REQUIRED_FIELD_MISSING"],
    ],
  );
  assert.equal(await account.count({ Name: "r-undone" }), 0);
});
await check("Connection.create: more than 200", async () => {
  const rows = Array.from({ length: 201 }, (_, n) => ({ Name: `r-many ${n}` }));
  await assert.rejects(conn.create("Account", rows), { errorCode: "EXCEEDED_ID_LIMIT" });
  assert.equal((await conn.create("Account", rows, { allowRecursive: true })).filter(created).length, 201);
});
await check("Connection.create: errors", async () => {
  await assert.rejects(conn.create("Account", {}), { errorCode: "REQUIRED_FIELD_MISSING" });
  await assert.rejects(conn.create("Account", { Name: "x", Nothing: 1 }), { errorCode: "INVALID_FIELD" });
  await assert.rejects(conn.create("Nothing__c", { Name: "x" }), { errorCode: "NOT_FOUND" });
});
await check("Connection.insert", async () => {
  assert.ok(created(await conn.insert("Account", { Name: "Inserted" })));
});

const { id: one } = await conn.create("Account", { Name: "Kept", Ext_Id__c: "r-kept", Site: "here" }).catch(() => ({}));
const { id: two } = await conn.create("Account", { Name: "Kept too", Ext_Id__c: "r-kept2" }).catch(() => ({}));

await check("Connection.retrieve", async () => {
  const row = await conn.retrieve("Account", one);
  assert.deepEqual([row.Id, row.Name, row.attributes.type, row.IsDeleted], [one, "Kept", "Account", false]);
  assert.equal((await conn.retrieve("Account", one.slice(0, 15))).Id, one);
  await assert.rejects(conn.retrieve("Account", "001000000000000AAA"), { errorCode: "NOT_FOUND" });
});
await check("Connection.retrieve: fields", async () => {
  const { attributes, ...row } = await conn.retrieve("Account", one, { fields: ["Name", "Site"] });
  assert.deepEqual(row, { Name: "Kept", Site: "here", Id: one });
});
await check("Connection.retrieve: several", async () => {
  const rows = await conn.retrieve("Account", [two, "001000000000000AAA", one], { fields: ["Name"] });
  assert.deepEqual(rows.map((row) => row && row.Name), ["Kept too", null, "Kept"]);
});
await check("Connection.update", async () => {
  const done = await conn.update("Account", { Id: one, Name: "Changed", Site: null });
  assert.deepEqual(done, { id: one, success: true, errors: [] });
  const { Name, Site } = await conn.retrieve("Account", one);
  assert.deepEqual([Name, Site], ["Changed", null]);
  const missing = { Id: "001000000000000AAA", Name: "x" };
  await assert.rejects(conn.update("Account", missing), { errorCode: "INVALID_CROSS_REFERENCE_KEY" }); // rest.md 12
});
await check("Connection.update: several", async () => {
  const rows = await conn.update("Account", [
    { Id: one, Name: "First" },
    { Id: "001000000000000AAA", Name: "Nobody" },
    { Id: two, Name: "Second" },
  ]);
  assert.deepEqual(rows.map((row) => row.success), [true, false, true]);
  assert.deepEqual([rows[0].id, rows[2].id], [one, two]);
  assert.equal(rows[1].errors[0].statusCode, "INVALID_CROSS_REFERENCE_KEY");
  assert.deepEqual([await nameOf(one), await nameOf(two)], ["First", "Second"]);
});
await check("Connection.upsert", async () => {
  const made = await conn.upsert("Account", { Ext_Id__c: "r-up", Name: "Made" }, "Ext_Id__c");
  assert.deepEqual([made.success, made.created, made.errors], [true, true, []]);
  const again = await conn.upsert("Account", { Ext_Id__c: "r-up", Name: "Changed" }, "Ext_Id__c");
  assert.deepEqual([again.id, again.success, again.created], [made.id, true, false]);
  assert.equal(await nameOf(made.id), "Changed");
});
await check("Connection.upsert: several", async () => {
  const rows = await conn.upsert(
    "Account",
    [
      { Ext_Id__c: "r-up", Name: "Once more" },
      { Ext_Id__c: "r-up2", Name: "New" },
      { Ext_Id__c: "r-up3", Name: "" },
    ],
    "Ext_Id__c",
  );
  assert.deepEqual(rows.map((row) => [row.success, row.created]), [[true, false], [true, true], [false, false]]);
  assert.equal(rows[2].errors[0].statusCode, "REQUIRED_FIELD_MISSING");
});
await check("Connection.destroy", async () => {
  const { id } = await conn.create("Account", { Name: "Short-lived" });
  assert.deepEqual(await conn.destroy("Account", id), { id, success: true, errors: [] });
  await assert.rejects(conn.retrieve("Account", id), { errorCode: "NOT_FOUND" });
  await assert.rejects(conn.destroy("Account", id), { errorCode: "ENTITY_IS_DELETED" });
});
await check("Connection.destroy: several", async () => {
  const rows = await conn.create("Account", [{ Name: "Short" }, { Name: "Lived" }]);
  const gone = await conn.destroy("Account", [rows[0].id, "001000000000000AAA", rows[1].id]);
  assert.deepEqual(gone.map((row) => row.success), [true, false, true]);
  assert.deepEqual(await conn.retrieve("Account", rows.map((row) => row.id)), [null, null]);
});
await check("Connection.delete", async () => {
  const { id } = await conn.create("Account", { Name: "Short-lived" });
  assert.equal((await conn.delete("Account", id)).success, true);
});
await check("Connection.del", async () => {
  const { id } = await conn.create("Account", { Name: "Short-lived" });
  assert.equal((await conn.del("Account", id)).success, true);
});

await check("SObject.create", async () => {
  assert.ok(created(await account.create({ Name: "By object" })));
});
await check("SObject.insert", async () => {
  assert.ok((await account.insert([{ Name: "By object" }, { Name: "By object too" }])).every(created));
});
await check("SObject.retrieve", async () => {
  assert.deepEqual((await account.retrieve([one, two])).map((row) => row.Id), [one, two]);
});
await check("SObject.update", async () => {
  await account.update({ Id: one, Site: "there" });
  assert.equal((await account.retrieve(one)).Site, "there");
});
await check("SObject.upsert", async () => {
  const row = await account.upsert({ Ext_Id__c: "r-kept", Name: "Upserted" }, "Ext_Id__c");
  assert.deepEqual([row.id, row.created], [one, false]);
});
for (const name of ["destroy", "delete", "del"]) {
  await check(`SObject.${name}`, async () => {
    const { id } = await account.create({ Name: "Short-lived" });
    assert.deepEqual(await account[name](id), { id, success: true, errors: [] });
    assert.equal(await account.count({ Id: id }), 0);
  });
}
await check("SObject.record", async () => {
  assert.equal((await account.record(one).retrieve()).Id, one);
  const byKey = await conn.sobject("Account").record("Ext_Id__c/r-kept").retrieve();
  assert.equal(byKey.Id, one);
});
await check("RecordReference.retrieve", async () => {
  assert.equal((await account.record(two).retrieve({ fields: ["Name"] })).Name, "Second");
});
await check("RecordReference.update", async () => {
  assert.deepEqual(await account.record(two).update({ Name: "Referred" }), { id: two, success: true, errors: [] });
  assert.equal(await nameOf(two), "Referred");
});
for (const name of ["destroy", "delete", "del"]) {
  await check(`RecordReference.${name}`, async () => {
    const { id } = await account.create({ Name: "Short-lived" });
    assert.deepEqual(await account.record(id)[name](), { id, success: true, errors: [] });
  });
}
await check("RecordReference.blob", async () => {
  const body = "Two lines\nand an é";
  const { id } = await conn.create("Attachment", { ParentId: one, Name: "note.txt", Body: Buffer.from(body).toString("base64") });
  assert.equal(await collected(conn.sobject("Attachment").record(id).blob("Body")), body);
});

const hour = 3_600_000;
const since = new Date(Date.now() - hour);
const until = new Date(Date.now() + hour);

await check("Connection.updated", async () => {
  const { id } = await account.create({ Name: "Fresh" });
  const { ids, latestDateCovered } = await conn.updated("Account", since, until);
  assert.ok(ids.includes(id));
  assert.ok(!Number.isNaN(Date.parse(latestDateCovered)));
});
await check("Connection.deleted", async () => {
  const { id } = await account.create({ Name: "Short-lived" });
  await account.destroy(id);
  const { deletedRecords, earliestDateAvailable, latestDateCovered } = await conn.deleted("Account", since, until);
  assert.ok(Date.now() - Date.parse(deletedRecords.find((row) => row.id === id).deletedDate) < hour);
  assert.ok(Date.parse(earliestDateAvailable) <= Date.parse(latestDateCovered));
});
await check("SObject.updated", async () => {
  assert.ok((await account.updated(since.toISOString(), until.toISOString())).ids.includes(one));
});
await check("SObject.deleted", async () => {
  assert.ok((await account.deleted(since, until)).deletedRecords.length > 0);
});
await check("Connection.recent", async () => {
  await conn.query(`SELECT Id FROM Account WHERE Id = '${two}' FOR VIEW`);
  const recent = await conn.recent(5);
  assert.deepEqual([recent[0].Id, recent[0].attributes.type, recent.length <= 5], [two, "Account", true]);
});
await check("SObject.recent", async () => {
  assert.ok(Array.isArray(await account.recent()));
});
await check("Connection.search", async () => {
  await conn.create("Account", { Name: "Zanzibarium Ltd" });
  const { searchRecords } = await conn.search("FIND {Zanzibarium} IN ALL FIELDS RETURNING Account(Id, Name)");
  assert.deepEqual(searchRecords.map((row) => [row.attributes.type, row.Name]), [["Account", "Zanzibarium Ltd"]]);
});

await check("Connection.request", async () => {
  assert.equal((await conn.request(`/sobjects/Account/${one}`)).Id, one);
  assert.equal((await conn.request({ method: "GET", url: `/services/data/v${conn.version}/sobjects/Account/${one}` })).Id, one);
});
await check("Connection.requestGet", async () => {
  assert.equal((await conn.requestGet(`${conn.instanceUrl}/services/data/v${conn.version}/sobjects/Account/${one}`)).Id, one);
});
await check("Connection.requestPost", async () => {
  assert.ok(created(await conn.requestPost("/sobjects/Account", { Name: "Posted" })));
});
await check("Connection.requestPatch", async () => {
  await conn.requestPatch(`/sobjects/Account/${one}`, { Name: "Patched" });
  assert.equal(await nameOf(one), "Patched");
});
await check("Connection.requestPut", async () => {
  const job = await conn.requestPost("/jobs/ingest", { object: "Account", operation: "insert" });
  await conn.request({ method: "PUT", url: `/jobs/ingest/${job.id}/batches`, body: "Name\nPut\n", headers: { "content-type": "text/csv" } });
  await assert.rejects(conn.requestPut(`/sobjects/Account/${one}`, { Name: "Put" }), { errorCode: "METHOD_NOT_ALLOWED" });
});
await check("Connection.requestDelete", async () => {
  const { id } = await account.create({ Name: "Short-lived" });
  await conn.requestDelete(`/sobjects/Account/${id}`);
  assert.equal(await account.count({ Id: id }), 0);
});
await check("Connection.requestPost: composite", async () => {
  const { compositeResponse } = await conn.requestPost("/composite", {
    allOrNone: true,
    compositeRequest: [
      { method: "POST", referenceId: "made", url: `/services/data/v${conn.version}/sobjects/Account`, body: { Name: "Composed" } },
      { method: "GET", referenceId: "read", url: `/services/data/v${conn.version}/sobjects/Account/@{made.id}?fields=Name` },
    ],
  });
  assert.deepEqual(compositeResponse.map((part) => [part.referenceId, part.httpStatusCode]), [["made", 201], ["read", 200]]);
  assert.equal(compositeResponse[1].body.Name, "Composed");
});
await check("Connection.requestPost: composite tree", async () => {
  const { hasErrors, results } = await conn.requestPost("/composite/tree/Account", {
    records: [
      {
        attributes: { type: "Account", referenceId: "root" },
        Name: "Root",
        Contacts: { records: [{ attributes: { type: "Contact", referenceId: "leaf" }, LastName: "Leaf" }] },
      },
    ],
  });
  assert.deepEqual([hasErrors, results.map((row) => row.referenceId)], [false, ["root", "leaf"]]);
});
await check("Connection.requestPost: composite batch", async () => {
  const url = `v${conn.version}/sobjects/Account/${one}?fields=Id`;
  const { hasErrors, results } = await conn.requestPost("/composite/batch", { batchRequests: [{ method: "GET", url }] });
  assert.deepEqual([hasErrors, results.map((part) => [part.statusCode, part.result.Id])], [false, [[200, one]]]);
});
await check("Connection.limitInfo", async () => {
  await conn.query("SELECT Id FROM Account LIMIT 1");
  const { used, limit } = conn.limitInfo.apiUsage;
  assert.ok(used > 0 && limit > used);
});
