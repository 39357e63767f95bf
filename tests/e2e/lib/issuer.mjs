// An issuer of tokens beside the product's own: its key, its configuration, its tokens.
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { SECOND } from "./wait.mjs";

const ISSUER = "https://id.example.com";
const AUDIENCE = "tasks";
const KID = "first";

/** Writes configuration and keys into `folder`; `token(claims)` signs. */
export function issuer(folder) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: KID, use: "sig" };
  writeFileSync(path.join(folder, "issuer.jwks.json"), JSON.stringify({ keys: [jwk] }));
  const config = path.join(folder, "tasktonic.toml");
  writeFileSync(
    config,
    `[[issuer]]\nissuer = "${ISSUER}"\naudience = "${AUDIENCE}"\njwks = "issuer.jwks.json"\nalgorithm = "EdDSA"\n`,
  );
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    config,
    token(claims) {
      const now = Math.floor(Date.now() / SECOND);
      const payload = { iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + 900, ...claims };
      const signed = `${part({ alg: "EdDSA", kid: KID, typ: "JWT" })}.${part(payload)}`;
      return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}`;
    },
  };
}
