// Sends one row of retention.alert to Telegram. Called by pg_net with the number of the row; see docs/notify.md.
//
// Secrets of the function: RETENTION_ALERT_SECRET, TELEGRAM_BOT_TOKEN, TELEGRAM_CHAT_ID. Supabase itself sets
// SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY. Deploy it without JWT check: the secret is its check.

const LARGEST = 1024;
const SECONDS = 8;
const SIGNS: Record<string, string> = { critical: "🔴", warning: "🟠", info: "🟢" };

interface Alert {
  id: number;
  occurred_at: string;
  environment: string;
  policy: string;
  severity: string;
  title: string;
  body: string;
  run_id: string | null;
}

/** The value of a variable; without it nothing works, so nothing is tried. */
function needed(name: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Whether two texts are equal, in a time that tells nothing about where they differ: their digests are compared. */
async function same(given: string, wanted: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [left, right] = await Promise.all(
    [given, wanted].map((text) => crypto.subtle.digest("SHA-256", encoder.encode(text))),
  );
  const [a, b] = [new Uint8Array(left), new Uint8Array(right)];
  let different = 0;
  for (let index = 0; index < a.length; index++) different |= a[index] ^ b[index];
  return different === 0;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Telegram's HTML: 4,096 characters at most; the columns of the row are limited to less. */
function textOf(alert: Alert): string {
  const where = [alert.policy, alert.environment].filter((part) => part !== "").map(escaped).join(" · ");
  const time = new Intl.DateTimeFormat("id-ID", {
    timeZone: "Asia/Jakarta",
    dateStyle: "medium",
    timeStyle: "short",
  }).format(new Date(alert.occurred_at));
  const lines = [`${SIGNS[alert.severity] ?? "🟠"} <b>${escaped(alert.title)}</b> — ${where}`];
  if (alert.body) lines.push(escaped(alert.body));
  lines.push(`${time} WIB${alert.run_id ? ` · Run ${escaped(alert.run_id.slice(0, 8))}…` : ""}`);
  return lines.join("\n");
}

/** Call a function of schema retention_api. */
async function call(name: string, values: Record<string, unknown>): Promise<unknown> {
  const key = needed("SUPABASE_SERVICE_ROLE_KEY");
  const headers: Record<string, string> = {
    "Content-Type": "application/json",
    "Content-Profile": "retention_api",
    apikey: key,
  };
  // A legacy key is a JWT and stands for a role; a new one goes into apikey alone.
  if (!key.startsWith("sb_")) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(`${needed("SUPABASE_URL")}/rest/v1/rpc/${name}`, {
    method: "POST",
    headers,
    body: JSON.stringify(values),
    signal: AbortSignal.timeout(SECONDS * 1000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${name} answers ${answer.status}`);
  return text === "" ? null : JSON.parse(text);
}

/** Send a text; the number of the message, or why there is none. The token is in the address, so no error shows it. */
async function send(text: string, html: boolean, silent: boolean): Promise<{ id?: number; status: number }> {
  const server = Deno.env.get("TELEGRAM_URL") ?? "https://api.telegram.org";
  try {
    const answer = await fetch(`${server}/bot${needed("TELEGRAM_BOT_TOKEN")}/sendMessage`, {
      method: "POST",
      redirect: "error",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        chat_id: needed("TELEGRAM_CHAT_ID"),
        text,
        disable_notification: silent,
        ...(html ? { parse_mode: "HTML" } : {}),
      }),
      signal: AbortSignal.timeout(SECONDS * 1000),
    });
    const said = await answer.json().catch(() => ({}));
    return { id: said?.result?.message_id, status: answer.status };
  } catch {
    return { status: 0 };
  }
}

async function deliver(id: number): Promise<Response> {
  const [alert] = (await call("claim_alert", { alert_id: id })) as Alert[];
  if (alert === undefined) return told(200, "nothing to do");
  const silent = alert.severity === "info";
  const text = textOf(alert);
  let sent = await send(text, true, silent);
  if (sent.status === 400) sent = await send(`${alert.title}\n${alert.body}`, false, silent);
  if (sent.id === undefined) {
    await call("release_alert", { alert_id: id });
    return told(503, `Telegram answers ${sent.status}`);
  }
  await call("alert_delivered", { alert_id: id, telegram_id: sent.id });
  return told(200, "delivered");
}

function told(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

/** One request of pg_net. */
async function handle(request: Request): Promise<Response> {
  if (request.method !== "POST") return told(405, "POST only");
  if (Number(request.headers.get("content-length") ?? LARGEST + 1) > LARGEST) return told(413, "too large");
  const given = request.headers.get("x-retention-secret") ?? "";
  if (!(await same(given, needed("RETENTION_ALERT_SECRET")))) return told(401, "wrong secret");
  const body = await request.json().catch(() => null);
  if (!Number.isSafeInteger(body?.id) || body.id < 1) return told(400, "no number of an alert");
  return await deliver(body.id);
}

Deno.serve(async (request) => {
  try {
    return await handle(request);
  } catch (error) {
    // Our own sentences only: what a library says may quote addresses.
    const message = error instanceof Error && /^[A-Za-z_]+ (is not set|answers \d+)$/.test(error.message);
    return told(500, message ? (error as Error).message : "unexpected fault");
  }
});
