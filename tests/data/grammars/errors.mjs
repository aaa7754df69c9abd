// Reads {"promql": [query, …], "logql": […], "traceql": […]} from stdin; prints each wrong query with the
// place of its first error, as the grammars of Grafana's own editors see it.
import { readFileSync } from "node:fs";
import { parser as promql } from "@prometheus-io/lezer-promql";
import { parser as logql } from "@grafana/lezer-logql";
import { parser as traceql } from "@grafana/lezer-traceql";

const parsers = { promql, logql, traceql };
const found = [];
for (const [language, queries] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  for (const query of queries) {
    let at = -1;
    parsers[language].parse(query).iterate({
      enter: (node) => {
        if (node.type.isError && at < 0) at = node.from;
      },
    });
    if (at >= 0) found.push({ language, query, at });
  }
}
console.log(JSON.stringify(found));
