// Uses MediaConvert and S3 through AWS's SDK for JavaScript, as a user's program would. The arguments are a video file and an
// input bucket; endpoint and keys come from the environment, as SDKs read them. Prints one JSON object with what it saw. It
// uses only settings that an AWS account would accept.

import { readFile } from "node:fs/promises";
import {
  CancelJobCommand, CreateJobCommand, CreatePresetCommand, CreateQueueCommand, DeletePresetCommand, DeleteQueueCommand,
  DescribeEndpointsCommand, GetJobCommand, GetPresetCommand, GetQueueCommand, ListTagsForResourceCommand, MediaConvertClient,
  ProbeCommand, TagResourceCommand, UntagResourceCommand, UpdatePresetCommand, UpdateQueueCommand, paginateListJobs,
  paginateListPresets, paginateListQueues, paginateSearchJobs,
} from "@aws-sdk/client-mediaconvert";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const [file, bucket] = process.argv.slice(2);
const s3 = new S3Client({ forcePathStyle: true });
const client = new MediaConvertClient({});
const seen = {};

await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "día 1.mp4", Body: await readFile(file) }));
// Every 32-bit word is different, so that parts in the wrong order would show.
const content = Buffer.from(Uint32Array.from({ length: 3 * 1024 * 1024 }, (_, index) => index).buffer);
const large = new Upload({
  client: s3, params: { Bucket: bucket, Key: "large.bin", Body: content }, partSize: 5 * 1024 * 1024,
});
await large.done();
const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: "large.bin" }));
seen.largeBytes = head.ContentLength;
seen.largeParts = Number(head.ETag.match(/-(\d+)"$/)?.[1]);
const back = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "large.bin" }));
seen.largeIsTheSame = content.equals(await back.Body.transformToByteArray());

seen.endpoints = (await client.send(new DescribeEndpointsCommand({}))).Endpoints.length;
seen.probe = (await client.send(new ProbeCommand({ InputFiles: [{ FileUrl: `s3://${bucket}/día 1.mp4` }] })))
  .ProbeResults[0].Container.Tracks.map((track) => track.Codec);

const h264 = { Codec: "H_264", H264Settings: { RateControlMode: "QVBR", MaxBitrate: 800000, QualityTuningLevel: "SINGLE_PASS" } };
const settings = { ContainerSettings: { Container: "MP4" }, VideoDescription: { Width: 320, Height: 180, CodecSettings: h264 } };
await client.send(new CreatePresetCommand({ Name: "from-js", Category: "js", Settings: settings }));
await client.send(new UpdatePresetCommand({ Name: "from-js", Description: "changed" }));
const every = async (pages, member) => {
  const names = [];
  for await (const page of pages) names.push(...page[member].map((one) => one.Name));
  return names;
};
seen.presets = await every(paginateListPresets({ client, pageSize: 10 }, { Category: "js" }), "Presets");
seen.preset = (await client.send(new GetPresetCommand({ Name: "from-js" }))).Preset.Description;

const job = (input, more = {}) => ({
  Role: "arn:aws:iam::000000000000:role/r",
  UserMetadata: { from: "js" },
  Settings: {
    Inputs: [{ FileInput: input, AudioSelectors: { "Audio Selector 1": { DefaultSelection: "DEFAULT" } } }],
    OutputGroups: [{
      OutputGroupSettings: { Type: "FILE_GROUP_SETTINGS", FileGroupSettings: { Destination: "s3://renditions/js/" } },
      Outputs: [{ Preset: "from-js", NameModifier: "_js" }],
    }],
  },
  ...more,
});
const made = (await client.send(new CreateJobCommand(job(`s3://${bucket}/día 1.mp4`)))).Job;
const ended = async (started) => {
  let state = started;
  for (let turn = 0; turn < 300 && !["COMPLETE", "ERROR", "CANCELED"].includes(state.Status); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    state = (await client.send(new GetJobCommand({ Id: started.Id }))).Job;
  }
  return state;
};
const state = await ended(made);
seen.status = state.Status;
seen.createdAt = made.CreatedAt instanceof Date;
seen.labels = state.UserMetadata;
const rendition = await s3.send(new GetObjectCommand({ Bucket: "renditions", Key: "js/día 1_js.mp4" }));
seen.renditionBytes = (await rendition.Body.transformToByteArray()).length;

const queue = (await client.send(new CreateQueueCommand({ Name: "js", Status: "PAUSED" }))).Queue;
await client.send(new TagResourceCommand({ Arn: queue.Arn, Tags: { a: "1", b: "2" } }));
await client.send(new UntagResourceCommand({ Arn: queue.Arn, TagKeys: ["a"] }));
seen.tags = (await client.send(new ListTagsForResourceCommand({ Arn: queue.Arn }))).ResourceTags.Tags;
const waiting = [];
for (let number = 0; number < 25; number += 1) {
  waiting.push((await client.send(new CreateJobCommand(job(`s3://${bucket}/day ${number}.mp4`, { Queue: "js" })))).Job.Id);
}
const listed = [];
for await (const page of paginateListJobs({ client, pageSize: 10 }, { Queue: "js" })) listed.push(...page.Jobs.map((one) => one.Id));
seen.listedAll = listed.length === 25 && waiting.every((id) => listed.includes(id));
const found = [];
for await (const page of paginateSearchJobs({ client }, { InputFile: "day 7.mp4" })) found.push(...page.Jobs.map((one) => one.Id));
seen.found = found.length === 1 && found[0] === waiting[7];
for (const id of waiting) await client.send(new CancelJobCommand({ Id: id }));
const unwanted = (await client.send(new CreateJobCommand(job(`s3://${bucket}/día 1.mp4`, { Queue: "js" })))).Job;
await client.send(new CancelJobCommand({ Id: unwanted.Id }));
seen.canceled = (await ended(unwanted)).Status;
seen.queues = await every(paginateListQueues({ client, pageSize: 1 }, {}), "Queues");
await client.send(new UpdateQueueCommand({ Name: "js", Status: "ACTIVE" }));
seen.queue = (await client.send(new GetQueueCommand({ Name: "js" }))).Queue.Status;
await client.send(new DeleteQueueCommand({ Name: "js" }));
await client.send(new DeletePresetCommand({ Name: "from-js" }));

const refusal = async (command) => {
  try {
    await client.send(command);
    return "none";
  } catch (error) {
    return { name: error.name, status: error.$metadata.httpStatusCode, message: error.message };
  }
};
const nothing = { Role: "arn:aws:iam::000000000000:role/r", Settings: { Inputs: [], OutputGroups: [] } };
seen.invalid = await refusal(new CreateJobCommand(nothing));
seen.unknown = await refusal(new GetJobCommand({ Id: "nothing" }));
seen.noPreset = (await refusal(new GetPresetCommand({ Name: "from-js" }))).name;
seen.noQueue = (await refusal(new GetQueueCommand({ Name: "js" }))).name;
console.log(JSON.stringify(seen));
