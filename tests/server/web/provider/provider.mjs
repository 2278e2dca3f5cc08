// A real OpenID provider (oidc-provider, certified by the OpenID Foundation) on loopback, for tests. Anybody signs in with
// any password; a name like "anna.clinician.north" says which role and site its claims carry.
//   node provider.mjs KEY CERTIFICATE        prints its issuer once it accepts
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const server = createServer({ key: readFileSync(process.argv[2]), cert: readFileSync(process.argv[3]) });
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://localhost:${server.address().port}`;
  const claimsOf = (id) => ({ roles: [id.split(".")[1] ?? "none"], site: id.split(".")[2] ?? "default" });
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "leadglass",
        client_secret: "a secret between the two",
        redirect_uris: ["https://localhost/back"],
        grant_types: ["authorization_code", "client_credentials"],
      },
    ],
    claims: { openid: ["sub", "roles", "site"], profile: ["preferred_username", "name"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: async (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, preferred_username: id, name: `The ${id}`, ...claimsOf(id) }),
    }),
    extraTokenClaims: async () => ({ sub: "a-program", ...claimsOf("program.clinician") }),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          audience,
          scope: "user/ImagingStudy.rs",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  // The archive's port is not known when the provider starts.
  provider.Client.prototype.redirectUriAllowed = (uri) =>
    /^https:\/\/localhost:\d+\/sign-in\/provider\/back$/.test(uri);
  provider.Client.prototype.postLogoutRedirectUriAllowed = (uri) => /^https:\/\/localhost:\d+\/sign-in$/.test(uri);
  server.on("request", provider.callback());
  console.log(issuer);
});
