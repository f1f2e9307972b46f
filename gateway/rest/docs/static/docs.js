// The page that tries the API: Swagger UI over openapi.json, all from this service.

const here = new URL(".", location.href);
const answer = await fetch(new URL("openapi.json", here));
const spec = await answer.json();
// Calls go to where the page came from, whatever PUBLIC_URL says: the policy of the page allows no other host.
spec.servers = [{ url: here.href.replace(/\/$/, "") }];

const ui = globalThis.SwaggerUIBundle({
  spec,
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  validatorUrl: null,
  // The key that the console was given, in this tab.
  onComplete: () => {
    const key = sessionStorage.getItem("api-gpu.key");
    if (key) ui.preauthorizeApiKey("ApiKey", key);
  },
});
