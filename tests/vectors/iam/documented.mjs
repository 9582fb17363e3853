// Compares npm @cloud-copilot/iam-simulate 0.1.173 with AWS's documentation: prints every request
// of documented.json to which it answers otherwise than AWS's text. Needs the network once.
//
//     folder=$(tests/tools/node-tool.sh iam-simulate @cloud-copilot/iam-simulate@0.1.173)
//     node tests/vectors/iam/documented.mjs "$folder"

import fs from "node:fs";
import { load } from "./oracle.mjs";

const oracle = await load(process.argv[2]);
const { cases } = JSON.parse(fs.readFileSync(new URL("documented.json", import.meta.url)));
const count = { same: 0, different: 0, grants: 0 };
for (const test of cases) {
    if (test.grants) {
        count.grants += test.requests.length;
        continue;
    }
    const errors = oracle.errors(test);
    for (const request of test.requests) {
        let found;
        try {
            found = errors.length ? "invalid" : oracle.outcome(test, request);
        } catch (error) {
            found = `error: ${error.message}`;
        }
        if (found === request.expected) {
            count.same += 1;
            continue;
        }
        count.different += 1;
        console.log(`${test.name}: AWS ${request.expected}, iam-simulate ${found} ${errors[0] ?? ""}`);
        console.log(`    ${JSON.stringify(request)}`);
    }
}
console.log(JSON.stringify(count));
