// Prints the public methods of jsforce's classes, one a line: what there is to judge.
import { internal, jsforce } from "./checks.mjs";

const conn = new jsforce.Connection({ instanceUrl: "http://127.0.0.1", logLevel: "NONE" });
const { QueryJobV2 } = internal("api/bulk2");
const job = conn.bulk.createJob("Account", "insert");
const objects = {
  Connection: conn,
  OAuth2: new jsforce.OAuth2({}),
  SObject: conn.sobject("Account"),
  RecordReference: conn.sobject("Account").record("001000000000000AAA"),
  Query: conn.query("SELECT Id FROM Account"),
  Bulk: conn.bulk,
  Job: job,
  Batch: job.createBatch(),
  BulkV2: conn.bulk2,
  IngestJobV2: conn.bulk2.createJob({ object: "Account", operation: "insert" }),
  QueryJobV2: new QueryJobV2(conn, { id: "750000000000000AAA", pollingOptions: conn.bulk2 }),
  Tooling: conn.tooling,
};

// What all event emitters and streams can do is Node's, not jsforce's.
const OF_NODE = new Set(["constructor"]);

for (const [name, object] of Object.entries(objects)) {
  const prototype = Object.getPrototypeOf(object);
  for (const method of new Set([...Object.getOwnPropertyNames(prototype), ...Object.getOwnPropertyNames(object)])) {
    const getter = Object.getOwnPropertyDescriptor(prototype, method)?.get;
    if (!method.startsWith("_") && !OF_NODE.has(method) && !getter && typeof object[method] === "function") {
      process.stdout.write(`${name}.${method}\n`);
    }
  }
}
// The further API's that hang on a connection as objects of their own.
for (const name of Object.getOwnPropertyNames(jsforce.Connection.prototype)) {
  if (!name.startsWith("_") && Object.getOwnPropertyDescriptor(jsforce.Connection.prototype, name).get) process.stdout.write(`Connection.${name}\n`);
}
