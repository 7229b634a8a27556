//! Lists every AWS operation that abanico calls, with the IAM permission that each needs. The roles and the deployer's
//! policy in `deploy/` are tested against this list.

/// An operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// MediaConvert `CreateJob`.
    CreateJob,
    /// MediaConvert `GetJob`.
    GetJob,
    /// MediaConvert `CancelJob`.
    CancelJob,
    /// MediaConvert `ListJobs`.
    ListJobs,
    /// S3 `GetObject`.
    GetObject,
    /// S3 `HeadObject`.
    HeadObject,
    /// S3 `PutObject`.
    PutObject,
    /// S3 `CreateBucket`.
    CreateBucket,
    /// S3 `DeleteBucket`.
    DeleteBucket,
    /// S3 `DeleteObject`.
    DeleteObject,
    /// S3 `ListObjectsV2`.
    ListObjects,
    /// SQS `GetQueueAttributes`.
    GetQueueAttributes,
    /// S3 `GetBucketNotificationConfiguration`.
    GetBucketNotification,
    /// S3 `PutBucketNotificationConfiguration`.
    PutBucketNotification,
    /// EventBridge `PutEvents`.
    PutEvents,
    /// SNS `Publish`.
    Publish,
    /// SQS `SendMessage`.
    SendMessage,
    /// CloudFormation `DescribeStacks`.
    DescribeStacks,
    /// CloudFormation `CreateChangeSet`.
    CreateChangeSet,
    /// CloudFormation `DescribeChangeSet`.
    DescribeChangeSet,
    /// CloudFormation `ExecuteChangeSet`.
    ExecuteChangeSet,
    /// CloudFormation `DeleteChangeSet`.
    DeleteChangeSet,
    /// CloudFormation `DeleteStack`.
    DeleteStack,
    /// CloudFormation `DescribeStackEvents`.
    DescribeStackEvents,
    /// CloudWatch Logs `FilterLogEvents`.
    FilterLogEvents,
    /// STS `GetCallerIdentity`.
    GetCallerIdentity,
}

impl Operation {
    /// Returns the operation's name, as AWS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateJob => "CreateJob",
            Self::GetJob => "GetJob",
            Self::CancelJob => "CancelJob",
            Self::ListJobs => "ListJobs",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::PutObject => "PutObject",
            Self::CreateBucket => "CreateBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::DeleteObject => "DeleteObject",
            Self::ListObjects => "ListObjectsV2",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::GetBucketNotification => "GetBucketNotificationConfiguration",
            Self::PutBucketNotification => "PutBucketNotificationConfiguration",
            Self::PutEvents => "PutEvents",
            Self::Publish => "Publish",
            Self::SendMessage => "SendMessage",
            Self::DescribeStacks => "DescribeStacks",
            Self::CreateChangeSet => "CreateChangeSet",
            Self::DescribeChangeSet => "DescribeChangeSet",
            Self::ExecuteChangeSet => "ExecuteChangeSet",
            Self::DeleteChangeSet => "DeleteChangeSet",
            Self::DeleteStack => "DeleteStack",
            Self::DescribeStackEvents => "DescribeStackEvents",
            Self::FilterLogEvents => "FilterLogEvents",
            Self::GetCallerIdentity => "GetCallerIdentity",
        }
    }

    /// Returns the IAM action that permits the operation. S3 has no separate action for `HeadObject`: `s3:GetObject`
    /// permits it (AWS, "Actions, resources, and condition keys for Amazon S3").
    pub fn iam_action(self) -> &'static str {
        match self {
            Self::CreateJob => "mediaconvert:CreateJob",
            Self::GetJob => "mediaconvert:GetJob",
            Self::CancelJob => "mediaconvert:CancelJob",
            Self::ListJobs => "mediaconvert:ListJobs",
            Self::GetObject | Self::HeadObject => "s3:GetObject",
            Self::PutObject => "s3:PutObject",
            Self::CreateBucket => "s3:CreateBucket",
            Self::DeleteBucket => "s3:DeleteBucket",
            Self::DeleteObject => "s3:DeleteObject",
            Self::ListObjects => "s3:ListBucket",
            Self::GetQueueAttributes => "sqs:GetQueueAttributes",
            Self::GetBucketNotification => "s3:GetBucketNotification",
            Self::PutBucketNotification => "s3:PutBucketNotification",
            Self::PutEvents => "events:PutEvents",
            Self::Publish => "sns:Publish",
            Self::SendMessage => "sqs:SendMessage",
            Self::DescribeStacks => "cloudformation:DescribeStacks",
            Self::CreateChangeSet => "cloudformation:CreateChangeSet",
            Self::DescribeChangeSet => "cloudformation:DescribeChangeSet",
            Self::ExecuteChangeSet => "cloudformation:ExecuteChangeSet",
            Self::DeleteChangeSet => "cloudformation:DeleteChangeSet",
            Self::DeleteStack => "cloudformation:DeleteStack",
            Self::DescribeStackEvents => "cloudformation:DescribeStackEvents",
            Self::FilterLogEvents => "logs:FilterLogEvents",
            Self::GetCallerIdentity => "sts:GetCallerIdentity",
        }
    }
}
