/** Whether this server answers, for those who keep it up. The front door has a `/healthz` of its own. */
export function GET(): Response {
  return new Response("ok\n", { headers: { "cache-control": "no-store", "content-type": "text/plain" } });
}
