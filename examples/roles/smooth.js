#!/usr/bin/env node
// smooth sends the mean of the last numbers that it got: a role in JavaScript for
// Node.js. docs/protocol-programs.md says what is spoken.
"use strict";

const description = {
  protocol: 1,
  kind: "role",
  version: "1.0",
  description: "Sends the mean of the last few numbers that come in events of a type.",
  options: {
    input: { type: "string", description: "Type of the events with the numbers." },
    output: { type: "string", default: "mean", description: "Type of the events with the means." },
    last: { type: "int", default: 10, min: 1, max: 10000, description: "How many numbers are in a mean." },
  },
  filters: [{ kind: "event", type: "$input" }],
  publishes: [{ kind: "event", type: "$output" }],
};

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function main() {
  const numbers = [];
  let options;
  let taken = 0;
  const lines = require("readline").createInterface({ input: process.stdin });
  lines.on("line", (text) => {
    const line = JSON.parse(text);
    switch (line.op) {
      case "hello":
        options = line.options;
        say({ op: "hello", protocol: 1, window: 256, heartbeat: 10 });
        break;
      case "ping":
        say({ op: "pong", n: line.n });
        break;
      case "event":
        if (typeof line.data === "number") {
          numbers.push(line.data);
          if (numbers.length > options.last) numbers.shift();
          const sum = numbers.reduce((a, b) => a + b, 0);
          say({ op: "event", type: options.output, data: sum / numbers.length });
        }
        say({ op: "ack", count: ++taken });
        break;
    }
  });
}

if (process.argv[2] === "--describe") {
  console.log(JSON.stringify(description, null, 2));
} else {
  main();
}
