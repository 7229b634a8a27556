//! Arguments of the `aws` commands, with one struct per command.

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

/// The profile, region and stack to work with.
#[derive(Debug, Args)]
pub struct AwsPlace {
    /// Profile in the shared AWS configuration files.
    #[arg(long, global = true, env = "AWS_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS region. Default: AWS_REGION, AWS_DEFAULT_REGION or the profile's region.
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Name of the stack, and prefix of all names in it.
    #[arg(long, global = true, default_value = "abanico", value_name = "NAME")]
    pub stack: String,
}

/// An `aws` command.
#[derive(Debug, Subcommand)]
pub enum AwsCommand {
    /// Create or update the stack, after showing the changes.
    Deploy(Box<AwsDeploy>),
    /// Remove the stack, but keep its buckets unless --with-buckets is given.
    Remove(AwsRemove),
    /// Show the stack's state, recent jobs and errors.
    Status(AwsStatus),
    /// Print a function's log.
    Logs(AwsLogs),
    /// Transcode a file or an S3 object with the stack and wait until the job ends.
    Submit(AwsSubmit),
    /// Estimate what a job costs on MediaConvert, on Lambda and on your own machine; works offline.
    Estimate(Box<AwsEstimate>),
    /// Print the IAM policy that a deployer needs.
    Policy,
}

/// Arguments of `aws deploy`. In an existing stack, options that are not given keep their values.
#[derive(Debug, Args)]
pub struct AwsDeploy {
    /// Job to create for each upload: three-mp4, hls, thumbnails, or a JSON file with a CreateJob request. Default for
    /// a new stack: three-mp4.
    #[arg(long, value_name = "NAME|FILE")]
    pub job: Option<String>,
    /// Folder with the functions' zip files, which `make functions` builds.
    #[arg(long, value_name = "DIR", default_value = "deploy/dist")]
    pub functions: PathBuf,
    /// Processor architecture of the functions.
    #[arg(long, value_enum, default_value = "x86-64")]
    pub arch: Arch,
    /// Name of the upload bucket to create. Default: STACK-uploads-ACCOUNT-REGION.
    #[arg(long, value_name = "NAME", conflicts_with = "existing_upload_bucket")]
    pub upload_bucket: Option<String>,
    /// Existing bucket to use for uploads. Its other notifications are kept.
    #[arg(long, value_name = "NAME")]
    pub existing_upload_bucket: Option<String>,
    /// Name of the output bucket to create. Default: STACK-renditions-ACCOUNT-REGION.
    #[arg(long, value_name = "NAME", conflicts_with = "existing_output_bucket")]
    pub output_bucket: Option<String>,
    /// Existing bucket to use for outputs.
    #[arg(long, value_name = "NAME")]
    pub existing_output_bucket: Option<String>,
    /// Create jobs only for keys with this prefix. Default for a new stack: none.
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Create jobs only for keys with this suffix. Default for a new stack: none.
    #[arg(long, value_name = "TEXT")]
    pub suffix: Option<String>,
    /// Destination of the outputs, such as s3://bucket/{dir}/{stem}/. Default for a new stack:
    /// s3://OUTPUT-BUCKET/{key}/.
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Name of the MediaConvert queue. Default for a new stack: `Default`.
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// Address that receives an email for each failed job and each alarm.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Any other parameter of the template; repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub param: Vec<(String, String)>,
    /// Show the changes without making them.
    #[arg(long)]
    pub dry_run: bool,
    /// Make the changes without asking.
    #[arg(long)]
    pub yes: bool,
}

/// Processor architecture of the functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Arch {
    /// Intel and AMD.
    #[value(name = "x86-64", alias = "x86_64")]
    X86_64,
    /// AWS Graviton.
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
    /// Also empty and remove the buckets that the stack created.
    #[arg(long)]
    pub with_buckets: bool,
    /// Remove without asking.
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `aws status`.
#[derive(Debug, Args)]
pub struct AwsStatus {
    /// Print the status as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `aws logs`.
#[derive(Debug, Args)]
pub struct AwsLogs {
    /// Function whose log to print.
    #[arg(long, value_enum, default_value = "transcode-video")]
    pub function: Function,
    /// Keep printing new lines until interrupted.
    #[arg(long)]
    pub follow: bool,
    /// How far back to begin: a number followed by s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    pub since: Span,
}

/// A function of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Function {
    /// Creates jobs for uploads.
    TranscodeVideo,
    /// Writes manifests and sends notifications.
    JobFinished,
    /// Changes the notifications of an existing bucket.
    BucketNotification,
}

impl Function {
    /// Returns the function's name without the stack's prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::TranscodeVideo => "transcode-video",
            Self::JobFinished => "job-finished",
            Self::BucketNotification => "bucket-notification",
        }
    }
}

/// A time span in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub i64);

/// Arguments of `aws submit`.
#[derive(Debug, Args)]
pub struct AwsSubmit {
    /// File or s3://bucket/key URL to transcode.
    pub input: String,
    /// Job for an s3:// URL: three-mp4, hls, thumbnails, or a JSON file. Default: the stack's job.
    #[arg(long, value_name = "NAME|FILE")]
    pub job: Option<String>,
    /// Key of the uploaded file. Default: the stack's prefix and the file's name.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// Arguments of `aws estimate`.
#[derive(Debug, Args)]
pub struct AwsEstimate {
    /// Video to transcode.
    pub file: PathBuf,
    #[command(flatten)]
    pub choice: JobChoice,
    /// File with your own prices. Default: built-in prices for us-east-1.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Number of jobs like this one.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub jobs: u64,
    /// Speed of a Lambda processor relative to the measured one.
    #[arg(long, default_value = "1", value_parser = positive, value_name = "FACTOR")]
    pub speed_factor: Decimal,
    /// Number of processors of your own machine.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i64).range(1..), value_name = "N")]
    pub own_processors: i64,
    /// Power of your own machine under load, in watts.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..), value_name = "WATTS")]
    pub own_watts: i64,
    /// Price of a kilowatt-hour in US dollars.
    #[arg(long, default_value = "0.30", value_parser = decimal, value_name = "USD")]
    pub kilowatt_hour: Decimal,
    /// Price of an hour of your own machine in US dollars: its rent or depreciation.
    #[arg(long, default_value = "0.05", value_parser = decimal, value_name = "USD")]
    pub machine_hour: Decimal,
    /// Print the estimate as JSON.
    #[arg(long)]
    pub json: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn span(text: &str) -> Result<Span, String> {
    let wrong = || "give a number followed by s, m, h or d, such as 30m".to_owned();
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
    fn spans_are_numbers_with_a_unit() {
        assert_eq!(span("90s"), Ok(Span(90_000)));
        assert_eq!(span("2d"), Ok(Span(172_800_000)));
        for wrong in ["", "5", "h", "1w", "99999999999999999999s", "-1h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_may_have_equals_signs() {
        assert_eq!(name_and_value("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(name_and_value("A").is_err());
    }
}
