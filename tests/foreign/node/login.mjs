// jsforce and logins: SOAP, OAuth grants, sessions that ended, logout.
import assert from "node:assert/strict";
import { check, connect, jsforce, org } from "./checks.mjs";

const fresh = (options = {}) => new jsforce.Connection({ loginUrl: org.url, instanceUrl: "", logLevel: "NONE", ...options });
const oauth2 = { loginUrl: org.url, clientId: org.client_id, clientSecret: org.client_secret, redirectUri: `${org.url}/callback` };
const works = async (conn) => assert.ok((await conn.limits()).DailyApiRequests.Max > 0);
const password = org.password + org.security_token;

await check("Connection.login: SOAP", async () => {
  const conn = fresh();
  const info = await conn.login(org.username, password);
  assert.match(info.id, /^005\w{15}$/);
  assert.match(info.organizationId, /^00D\w{15}$/);
  assert.equal(conn.instanceUrl, org.url);
  await works(conn);
});
await check("Connection.loginBySoap", async () => {
  const conn = fresh();
  await conn.loginBySoap(org.username, password);
  await works(conn);
});
await check("Connection.loginBySoap: a wrong password", async () => {
  await assert.rejects(fresh().loginBySoap(org.username, "wrong"), /^Error: INVALID_LOGIN: Invalid username, password, security token; or user locked out\.$/);
});
await check("Connection.login: OAuth", async () => {
  const conn = fresh({ oauth2 });
  const info = await conn.login(org.username, password);
  assert.match(info.id, /^005\w{15}$/);
  await works(conn);
});
await check("Connection.loginByOAuth2", async () => {
  const conn = fresh({ oauth2 });
  await conn.loginByOAuth2(org.username, password);
  await works(conn);
  await assert.rejects(fresh({ oauth2 }).loginByOAuth2(org.username, "wrong"), { name: "invalid_grant", message: "authentication failure" });
});
await check("Connection.authorize: client credentials", async () => {
  const conn = fresh({ oauth2 });
  const info = await conn.authorize({ grant_type: "client_credentials" });
  assert.match(info.id, /^005\w{15}$/);
  await works(conn);
});
await check("OAuth2.authenticate", async () => {
  const answer = await new jsforce.OAuth2(oauth2).authenticate(org.username, password);
  assert.deepEqual([answer.instance_url, answer.token_type], [org.url, "Bearer"]);
});
await check("OAuth2.requestToken", async () => {
  const answer = await new jsforce.OAuth2(oauth2).requestToken({ grant_type: "client_credentials" });
  assert.match(answer.access_token, /^00D\w{12,15}!/);
});
await check("OAuth2.refreshToken", async () => {
  const answer = await new jsforce.OAuth2(oauth2).refreshToken(org.refresh_token);
  await works(connect({ accessToken: answer.access_token }));
});
await check("OAuth2.revokeToken", async () => {
  const conn = fresh({ oauth2 });
  await conn.authorize({ grant_type: "client_credentials" });
  await new jsforce.OAuth2(oauth2).revokeToken(conn.accessToken);
  await assert.rejects(connect({ accessToken: conn.accessToken }).limits(), { errorCode: "INVALID_SESSION_ID" });
});
await check("Connection: a session that ended is renewed by the refresh token", async () => {
  const conn = connect({ accessToken: "00D000000000000!ended", refreshToken: org.refresh_token, oauth2 });
  let renewed = 0;
  conn.on("refresh", () => (renewed += 1));
  await works(conn);
  assert.equal(renewed, 1);
});
await check("Connection: a session that ended is renewed by the password", async () => {
  const conn = fresh();
  await conn.login(org.username, password);
  conn.accessToken = "00D000000000000!ended";
  await works(conn);
});
await check("Connection: a session that ended", async () => {
  await assert.rejects(connect({ accessToken: "00D000000000000!ended" }).query("SELECT Id FROM Account"), {
    errorCode: "INVALID_SESSION_ID",
    message: "Session expired or invalid",
  });
});
await check("Connection.logout: SOAP", async () => {
  const conn = fresh();
  await conn.login(org.username, password);
  const token = conn.accessToken;
  await conn.logout();
  await assert.rejects(connect({ accessToken: token }).limits(), { errorCode: "INVALID_SESSION_ID" });
});
await check("Connection.logoutBySoap", async () => {
  const conn = fresh();
  await conn.login(org.username, password);
  await conn.logoutBySoap();
  assert.equal(conn.accessToken, null);
});
await check("Connection.logoutByOAuth2", async () => {
  const conn = fresh({ oauth2 });
  await conn.authorize({ grant_type: "client_credentials" });
  const token = conn.accessToken;
  await conn.logoutByOAuth2();
  await assert.rejects(connect({ accessToken: token }).limits(), { errorCode: "INVALID_SESSION_ID" });
});
