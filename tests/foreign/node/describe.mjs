// jsforce and what an org says of itself: describes with their caches, limits, the tooling API.
import assert from "node:assert/strict";
import { check, connect } from "./checks.mjs";

const conn = connect();

const isAccount = (described) => {
  assert.deepEqual([described.name, described.keyPrefix, described.custom, described.createable], ["Account", "001", false, true]);
  const key = described.fields.find((field) => field.name === "Ext_Id__c");
  assert.deepEqual([key.type, key.length, key.externalId, key.unique, key.idLookup], ["string", 20, true, true, true]);
  assert.ok(described.childRelationships.some((child) => child.relationshipName === "Contacts"));
};
const isGlobal = (described) => {
  assert.deepEqual([described.encoding, described.maxBatchSize], ["UTF-8", 200]);
  const account = described.sobjects.find((one) => one.name === "Account");
  assert.deepEqual([account.label, account.keyPrefix, account.queryable], ["Account", "001", true]);
};

await check("Connection.describe", async () => isAccount(await conn.describe("Account")));
await check("Connection.describe: an object that is unknown", async () => {
  await assert.rejects(conn.describe("Nothing__c"), { errorCode: "NOT_FOUND" });
});
await check("Connection.describeSObject", async () => isAccount(await conn.describeSObject("Account")));
await check("Connection.describe$", async () => {
  isAccount(await conn.describe$("Account"));
  isAccount(await conn.describe$("Account"));
});
await check("Connection.describe$$", async () => isAccount(conn.describe$$("Account")));
await check("Connection.describeGlobal", async () => isGlobal(await conn.describeGlobal()));
await check("Connection.describeGlobal$", async () => isGlobal(await conn.describeGlobal$()));
await check("Connection.describeGlobal$$", async () => isGlobal(conn.describeGlobal$$()));
await check("Connection.describeSObject$", async () => isAccount(await conn.describeSObject$("Account")));
await check("Connection.describeSObject$$", async () => isAccount(conn.describeSObject$$("Account")));
await check("SObject.describe", async () => isAccount(await conn.sobject("Account").describe()));
await check("SObject.describe$", async () => isAccount(await conn.sobject("Account").describe$()));
await check("SObject.describe$$", async () => isAccount(conn.sobject("Account").describe$$()));
await check("Connection.sobject", async () => {
  assert.equal((await conn.sobject("Account").describe()).name, "Account");
});
await check("Connection.limits", async () => {
  const { DailyApiRequests } = await conn.limits();
  assert.ok(DailyApiRequests.Max >= DailyApiRequests.Remaining && DailyApiRequests.Remaining > 0);
});
await check("Connection.identity", async () => {
  const identity = await conn.identity();
  assert.match(identity.user_id, /^005\w{15}$/);
  assert.match(identity.organization_id, /^00D\w{15}$/);
  assert.deepEqual([conn.userInfo.id, conn.userInfo.organizationId], [identity.user_id, identity.organization_id]);
});
await check("Connection.tabs", async () => {
  const [tab] = (await conn.tabs()).filter((one) => one.sobjectName === "Account");
  assert.deepEqual([tab.name, tab.label, tab.custom], ["standard-Account", "Accounts", false]);
});
await check("Connection.theme", async () => {
  assert.ok((await conn.theme()).themeItems.some((one) => one.name === "Account"));
});
await check("SObject.listviews", async () => {
  const { sobjectType, listviews } = await conn.sobject("Account").listviews();
  assert.deepEqual([sobjectType, listviews], ["Account", []]);
});
const LAYOUTS = { layouts: "recordTypeMappings", compactLayouts: "recordTypeCompactLayoutMappings", approvalLayouts: "approvalLayouts" };
for (const [name, part] of Object.entries(LAYOUTS)) {
  for (const cached of ["", "$", "$$"]) {
    await check(`SObject.${name}${cached}`, async () => {
      const account = conn.sobject("Account");
      await account[`${name}$`]();
      assert.ok(Array.isArray((await account[`${name}${cached}`]())[part]));
    });
  }
}
await check("Tooling.query", async () => {
  const { records } = await conn.tooling.query(
    "SELECT QualifiedApiName FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = 'Account' AND QualifiedApiName = 'Ext_Id__c'",
  );
  assert.deepEqual(records.map((row) => row.QualifiedApiName), ["Ext_Id__c"]);
});
await check("Tooling.queryMore", async () => {
  const soql = "SELECT QualifiedApiName FROM EntityParticle WHERE EntityDefinition.QualifiedApiName = 'Account'";
  const first = await conn.tooling.query(soql, { headers: { "Sforce-Query-Options": "batchSize=200" } });
  if (!first.done) assert.ok((await conn.tooling.queryMore(first.nextRecordsUrl)).records.length > 0);
  await assert.rejects(conn.tooling.queryMore("01g000000000000AAA-2000"), { errorCode: "INVALID_QUERY_LOCATOR" });
});
await check("Tooling.sobject", async () => {
  const found = await conn.tooling.sobject("EntityDefinition").find({ QualifiedApiName: "Account" }, "QualifiedApiName");
  assert.deepEqual(found.map((row) => row.QualifiedApiName), ["Account"]);
});
await check("Tooling.request", async () => {
  const answer = await conn.tooling.request("/tooling/query?q=SELECT+QualifiedApiName+FROM+EntityDefinition+LIMIT+1");
  assert.equal(answer.records.length, 1);
});
const hasEntities = ({ sobjects }) => assert.ok(sobjects.some((one) => one.name === "EntityDefinition"));
const isEntity = ({ fields }) => assert.ok(fields.some((field) => field.name === "QualifiedApiName"));

for (const name of ["describeGlobal", "describeGlobal$", "describeGlobal$$"]) {
  await check(`Tooling.${name}`, async () => hasEntities(await conn.tooling[name]()));
}
for (const name of ["describe", "describe$", "describe$$", "describeSObject", "describeSObject$", "describeSObject$$"]) {
  await check(`Tooling.${name}`, async () => isEntity(await conn.tooling[name]("EntityDefinition")));
}
