// What a test has Node's ssh2-sftp-client do: "node client.mjs PORT USER password|key SECRET", and steps on standard
// input, a line each, their words divided by tabs. A listing goes to standard output. The first step that fails ends it
// with status 1.

import { readFileSync } from "node:fs";
import SftpClient from "ssh2-sftp-client";

const [port, username, method, secret] = process.argv.slice(2);
const login = method === "key" ? { privateKey: readFileSync(secret) } : { password: secret };
const steps = {
  mkdir: (sftp, path) => sftp.mkdir(path),
  put: (sftp, local, remote) => sftp.fastPut(local, remote),
  rename: (sftp, before, after) => sftp.rename(before, after),
  remove: (sftp, path) => sftp.delete(path),
  list: async (sftp, path) => (await sftp.list(path)).forEach((entry) => console.log(entry.name)),
};

const sftp = new SftpClient();
await sftp.connect({ host: "127.0.0.1", port: Number(port), username, ...login });
try {
  for (const step of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const [verb, ...words] = step.split("\t");
    await steps[verb](sftp, ...words);
  }
} finally {
  await sftp.end();
}
