// An edge function as Luxima has them, for tests: each answer leaves a log line in Loki, an error with its reason.
// A body {"slow": true} stands for a payment partner that does not answer in time.
const loki = Deno.env.get("LOKI_URL") ?? "";

async function log(status: number, line: string): Promise<void> {
  const stream = { source: "supabase", service: "edge_logs" };
  const metadata = { metadata_function_id: "billing-webhook", metadata_response_status_code: String(status) };
  const values = [[`${Date.now()}000000`, line, metadata]];
  const answer = await fetch(`${loki}/loki/api/v1/push`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ streams: [{ stream, values }] }),
  });
  await answer.body?.cancel();
  if (answer.status !== 204) throw new Error(`Loki answers ${answer.status}`);
}

Deno.serve({ onListen: () => {} }, async (request: Request) => {
  const { slow } = await request.json();
  const status = slow ? 504 : 200;
  const said = slow ? "error: the payment partner did not answer within 150 s" : "info: paid";
  await log(status, JSON.stringify({ level: said.split(":")[0], event_message: said, status }));
  return new Response(said, { status });
});
