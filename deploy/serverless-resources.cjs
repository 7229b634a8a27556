// Adapts template.yaml to the Serverless Framework, so that the stack is described only once.
// Returns the template's resources without the functions' code, which the framework uploads itself, and with the
// framework's parameters as defaults.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const yaml = require("js-yaml");

// Expands one of CloudFormation's short tags to its long form.
function tag(name, kind) {
  const long = name === "Ref" || name === "Condition" ? name : `Fn::${name}`;
  const construct = (value) => {
    if (name === "GetAtt" && typeof value === "string") {
      const dot = value.indexOf(".");
      return { [long]: [value.slice(0, dot), value.slice(dot + 1)] };
    }
    return { [long]: value };
  };
  return new yaml.Type(`!${name}`, { kind, construct });
}

const NAMES = ["Ref", "Condition", "GetAtt", "Sub", "If", "Equals", "Not", "And", "Or", "Join", "Select", "Split"];
const KINDS = ["scalar", "sequence", "mapping"];
const SCHEMA = yaml.DEFAULT_SCHEMA.extend(NAMES.flatMap((name) => KINDS.map((kind) => tag(name, kind))));

// The template's parameters, and the framework's parameters that supply their defaults.
const PARAMETERS = {
  Architecture: "architecture",
  UploadBucketName: "uploadBucket",
  UseExistingUploadBucket: "useExistingUploadBucket",
  OutputBucketName: "outputBucket",
  UseExistingOutputBucket: "useExistingOutputBucket",
  UploadPrefix: "uploadPrefix",
  UploadSuffix: "uploadSuffix",
  Job: "job",
  Destination: "destination",
  Queue: "queue",
  MediaConvertEndpoint: "endpoint",
  NotificationEmail: "email",
};

module.exports.resources = async ({ resolveVariable }) => {
  const template = yaml.load(fs.readFileSync(path.join(__dirname, "template.yaml"), "utf8"), { schema: SCHEMA });
  delete template.AWSTemplateFormatVersion;
  delete template.Metadata;
  // The framework knows where it put the code.
  delete template.Parameters.FunctionsBucket;
  delete template.Parameters.FunctionsPrefix;
  for (const [name, parameter] of Object.entries(PARAMETERS)) {
    template.Parameters[name].Default = String(await resolveVariable(`param:${parameter}`));
  }
  for (const resource of Object.values(template.Resources)) {
    if (resource.Type === "AWS::Lambda::Function") delete resource.Properties.Code;
  }
  return template;
};
