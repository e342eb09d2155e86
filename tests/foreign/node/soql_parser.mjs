// Answers questions about SOQL with @jetstreamapp/soql-parser-js, one JSON document per line in and out:
// {"soql": text} gives {"composed": text, "tree": query} or {"error": text}, and
// {"cases": path of one of the parser's own TypeScript test files} gives [{"number", "soql", "valid", "options"}].
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const require = createRequire(path.join(process.argv[2], 'index.js'));
const { composeQuery, parseQuery } = require('@jetstreamapp/soql-parser-js');

function parsed(soql) {
  try {
    const tree = parseQuery(soql);
    return { composed: composeQuery(tree), tree };
  } catch (error) {
    return { error: error.message };
  }
}

function cases(file) {
  const text = fs
    .readFileSync(file, 'utf8')
    .replace(/^import .*$/gm, '')
    .replace(/^export interface [\s\S]*?^}/gm, '')
    .replace(/^export default .*$/gm, '')
    .replace(/^export const testCases(: [^=]*)? =/m, 'globalThis.testCases =')
    .replace(/ as [A-Z]\w+/g, '');
  (0, eval)(text); // the file is a list of literals once its types are gone
  return globalThis.testCases.map((one) => ({
    number: one.testCase,
    soql: one.soql,
    valid: one.isValid ?? true,
    options: one.options ?? {},
  }));
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  console.log(JSON.stringify('cases' in question ? cases(question.cases) : parsed(question.soql)));
}
