// Uses the AWS SDK for JavaScript as it is: the endpoint has a name, so the bucket is in the name of the host.
// `hosts.mjs BUCKET` prints what it saw as JSON.

import { Agent } from "node:http";

import {
  DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, ListObjectVersionsCommand, PutObjectCommand, S3Client,
} from "@aws-sdk/client-s3";

// Whatever this machine's resolver says of names below `localhost`.
const lookup = (name, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
const s3 = new S3Client({ requestHandler: { httpAgent: new Agent({ lookup }) } });
const seen = {};
s3.middlewareStack.add((next) => (call) => { seen.host = call.request.hostname; return next(call); }, { step: "finalizeRequest" });

const [bucket] = process.argv.slice(2);
const place = { Bucket: bucket, Key: "js/a b.txt" };
await s3.send(new PutObjectCommand({ ...place, Body: "from js" }));
seen.text = await (await s3.send(new GetObjectCommand(place))).Body.transformToString();
const under = { Bucket: bucket, Prefix: "js/" };
seen.keys = (await s3.send(new ListObjectsV2Command(under))).Contents.map((found) => found.Key);
seen.versions = (await s3.send(new ListObjectVersionsCommand(under))).Versions.map((found) => found.VersionId);
await s3.send(new DeleteObjectCommand(place));
console.log(JSON.stringify(seen));
