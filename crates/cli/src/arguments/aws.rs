//! Arguments of the commands about AWS: in words, out one struct for each command.

use std::path::PathBuf;

use abanico_deployment::Architecture;
use clap::{Args, Subcommand, ValueEnum};

use super::JobChoice;
use crate::commands::aws::estimate::{Decimal, decimal, positive};

/// Arguments of `aws`.
#[derive(Debug, Args)]
pub struct Aws {
    #[command(flatten)]
    pub place: AwsPlace,
    #[command(subcommand)]
    pub command: AwsCommand,
}

/// Where in AWS.
#[derive(Debug, Args)]
pub struct AwsPlace {
    /// Profile of the shared AWS configuration.
    #[arg(long, global = true, env = "AWS_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// Region. Default: that of the profile or of AWS_REGION.
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Name of the stack; all names in it begin so.
    #[arg(long, global = true, default_value = "abanico", value_name = "NAME")]
    pub stack: String,
}

/// What to do on AWS.
#[derive(Debug, Subcommand)]
pub enum AwsCommand {
    /// Make or change the stack; the changes are shown before they happen.
    Deploy(Box<AwsDeploy>),
    /// Remove the stack; buckets with films stay unless told otherwise.
    Remove(AwsRemove),
    /// Show the stack, its recent jobs and what went wrong.
    Status(AwsStatus),
    /// Print the log of a function.
    Logs(AwsLogs),
    /// Transcode a file or an object with the stack and wait for the end.
    Submit(AwsSubmit),
    /// Estimate what a job costs on MediaConvert, on Lambda and on a machine of your own; asks nobody.
    Estimate(Box<AwsEstimate>),
    /// Print the IAM policy that the person who deploys needs.
    Policy,
}

/// Arguments of `aws deploy`. What is not given keeps its value in a stack that is there.
#[derive(Debug, Args)]
pub struct AwsDeploy {
    /// The job that uploads become: three-mp4, hls, thumbnails, or a CreateJob request as JSON.
    #[arg(long, value_name = "NAME|FILE")]
    pub job: Option<String>,
    /// Folder of the functions' zip files, which `make functions` fills.
    #[arg(long, value_name = "DIR", default_value = "deploy/dist")]
    pub functions: PathBuf,
    /// Processor of the functions.
    #[arg(long, value_enum, default_value = "x86-64")]
    pub arch: Arch,
    /// Name of the upload bucket to make. Default: a name of stack, account and region.
    #[arg(long, value_name = "NAME", conflicts_with = "existing_upload_bucket")]
    pub upload_bucket: Option<String>,
    /// Upload bucket that is there already; its other notifications stay.
    #[arg(long, value_name = "NAME")]
    pub existing_upload_bucket: Option<String>,
    /// Name of the output bucket to make. Default: a name of stack, account and region.
    #[arg(long, value_name = "NAME", conflicts_with = "existing_output_bucket")]
    pub output_bucket: Option<String>,
    /// Output bucket that is there already.
    #[arg(long, value_name = "NAME")]
    pub existing_output_bucket: Option<String>,
    /// Only keys that begin so become jobs.
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Only keys that end so become jobs.
    #[arg(long, value_name = "TEXT")]
    pub suffix: Option<String>,
    /// Where outputs go, such as s3://bucket/{dir}/{stem}/.
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Name of the MediaConvert queue.
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// Address that gets a mail for each failed job and each alarm.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Any other parameter of the template.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub param: Vec<(String, String)>,
    /// Show the changes and make none.
    #[arg(long)]
    pub dry_run: bool,
    /// Make the changes without a question.
    #[arg(long)]
    pub yes: bool,
}

/// Processor of the functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Arch {
    /// Intel and AMD.
    #[value(name = "x86-64", alias = "x86_64")]
    X86_64,
    /// AWS's Graviton.
    Arm64,
}

impl From<Arch> for Architecture {
    fn from(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 => Self::X86_64,
            Arch::Arm64 => Self::Arm64,
        }
    }
}

/// Arguments of `aws remove`.
#[derive(Debug, Args)]
pub struct AwsRemove {
    /// Empty and remove the buckets that the stack made, too.
    #[arg(long)]
    pub with_buckets: bool,
    /// Remove without a question.
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `aws status`.
#[derive(Debug, Args)]
pub struct AwsStatus {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `aws logs`.
#[derive(Debug, Args)]
pub struct AwsLogs {
    /// The function.
    #[arg(long, value_enum, default_value = "transcode-video")]
    pub function: Function,
    /// Go on with what is written from now on.
    #[arg(long)]
    pub follow: bool,
    /// How far back: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    pub since: Span,
}

/// A function of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Function {
    /// Makes jobs of uploads.
    TranscodeVideo,
    /// Writes manifests.
    JobFinished,
    /// Changes the notifications of a bucket that was there before.
    BucketNotification,
}

impl Function {
    /// Its name behind the stack's.
    pub fn name(self) -> &'static str {
        match self {
            Self::TranscodeVideo => "transcode-video",
            Self::JobFinished => "job-finished",
            Self::BucketNotification => "bucket-notification",
        }
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub i64);

/// Arguments of `aws submit`.
#[derive(Debug, Args)]
pub struct AwsSubmit {
    /// A file, or s3://bucket/key.
    pub input: String,
    /// The job, for an s3:// URL: three-mp4, hls, thumbnails, or a file. Default: the stack's.
    #[arg(long, value_name = "NAME|FILE")]
    pub job: Option<String>,
    /// Key of the upload. Default: the stack's prefix and the file's name.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// Arguments of `aws estimate`.
#[derive(Debug, Args)]
pub struct AwsEstimate {
    /// A file.
    pub file: PathBuf,
    #[command(flatten)]
    pub choice: JobChoice,
    /// Own list of prices. Default: the built-in one, for us-east-1.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// How many such jobs.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub jobs: u64,
    /// Speed of a Lambda processor against the measured one.
    #[arg(long, default_value = "1", value_parser = positive, value_name = "FACTOR")]
    pub speed_factor: Decimal,
    /// Processors of your own machine.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i64).range(1..), value_name = "N")]
    pub own_processors: i64,
    /// Its power under load in watts.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..), value_name = "WATTS")]
    pub own_watts: i64,
    /// US dollars for a kilowatt-hour.
    #[arg(long, default_value = "0.30", value_parser = decimal, value_name = "USD")]
    pub kilowatt_hour: Decimal,
    /// US dollars for an hour of the machine itself: its rent or write-off.
    #[arg(long, default_value = "0.05", value_parser = decimal, value_name = "USD")]
    pub machine_hour: Decimal,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn span(text: &str) -> Result<Span, String> {
    let wrong = || "give a number with s, m, h or d, such as 30m".to_owned();
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let number: i64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[unit_at..] {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Span).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_span_a_number_with_its_unit() {
        assert_eq!(span("90s"), Ok(Span(90_000)));
        assert_eq!(span("2d"), Ok(Span(172_800_000)));
        for wrong in ["", "5", "h", "1w", "99999999999999999999s", "-1h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn may_a_value_have_equals_signs() {
        assert_eq!(name_and_value("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(name_and_value("A").is_err());
    }
}
