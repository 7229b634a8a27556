//! Serves the S3 protocol over HTTP: sends each operation to the method that implements it.
//!
//! The operations themselves are in their own files.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{Body, S3, S3ErrorCode, S3Request, S3Response, S3Result};

use tracing::Instrument as _;

use crate::buckets::cors::{CrossOrigin, no_preflight};
use crate::edge::answers::{name, request_id, strip, unquote};
use crate::edge::browser::{disarm, is_navigation};
use crate::edge::document::{DocumentText, Verdict, judged};
use crate::edge::door::{Door, Refusal, door, query_names};
use crate::edge::guests::{denied, drop_odd_range};
use crate::edge::post_form::escaped;
use crate::edge::ranges::IgnoredRange;
use crate::edge::sieve::sieve;
use crate::objects::conditions::WriteConditions;
use crate::objects::copy::with_spaces;
use crate::objects::get::Head;
use crate::{ACCOUNT, LocalS3};

/// Implements `S3`. A listed operation gives only its input to its method, and those of the second list answer without
/// content; the others are written out here.
macro_rules! operations {
    (
        { $($operation:ident($input:ident) -> $output:ident => $method:ident;)* }
        without content { $($silent:ident($asked:ident) -> $nothing:ident => $quiet:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for LocalS3 {
            $(async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Ok(S3Response::new(self.$method(request.input).await?))
            })*

            $(async fn $silent(&self, request: S3Request<$asked>) -> S3Result<S3Response<$nothing>> {
                Ok(S3Response::with_status(self.$quiet(request.input).await?, StatusCode::NO_CONTENT))
            })*

            async fn create_bucket(
                &self,
                request: S3Request<CreateBucketInput>,
            ) -> S3Result<S3Response<CreateBucketOutput>> {
                let document = DocumentText::take(&request.extensions);
                Ok(S3Response::new(self.make_bucket(request.input, &document).await?))
            }

            async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
                let target = target_conditions(&request.headers)?;
                let mut input = request.input;
                input.copy_source = with_spaces(&request.headers, input.copy_source)?;
                Ok(S3Response::new(self.copy_if(input, target).await?))
            }

            async fn upload_part_copy(
                &self,
                request: S3Request<UploadPartCopyInput>,
            ) -> S3Result<S3Response<UploadPartCopyOutput>> {
                let mut input = request.input;
                input.copy_source = with_spaces(&request.headers, input.copy_source)?;
                Ok(S3Response::new(self.copy_part(input).await?))
            }

            async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
                Ok(S3Response::new(self.put(request).await?))
            }

            async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
                Ok(S3Response::new(self.take_part(request).await?))
            }

            async fn complete_multipart_upload(
                &self,
                request: S3Request<CompleteMultipartUploadInput>,
            ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
                Ok(S3Response::new(self.complete(request).await?))
            }

            async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                let mut input = request.input;
                let disposition = input.response_content_disposition.take();
                let mut output = self.get(input).await?;
                output.content_disposition = disposition.or(output.content_disposition);
                let status = output.content_range.as_ref().map(|_| StatusCode::PARTIAL_CONTENT);
                Ok(S3Response { status, ..S3Response::new(output) })
            }

            async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
                let mut input = request.input;
                let asked = HeadObjectOutput {
                    cache_control: input.response_cache_control.take(),
                    content_disposition: input.response_content_disposition.take(),
                    content_encoding: input.response_content_encoding.take(),
                    content_language: input.response_content_language.take(),
                    content_type: input.response_content_type.take(),
                    expires: input.response_expires.take(),
                    ..HeadObjectOutput::default()
                };
                let Head { mut output, is_partial, tags } = self.head(input).await?;
                output.cache_control = asked.cache_control.or(output.cache_control);
                output.content_disposition = asked.content_disposition.or(output.content_disposition);
                output.content_encoding = asked.content_encoding.or(output.content_encoding);
                output.content_language = asked.content_language.or(output.content_language);
                output.content_type = asked.content_type.or(output.content_type);
                output.expires = asked.expires.or(output.expires);
                let status = is_partial.then_some(StatusCode::PARTIAL_CONTENT);
                let mut response = S3Response { status, ..S3Response::new(output) };
                if tags > 0 {
                    response.headers.insert(TAG_COUNT, tags.into());
                }
                Ok(response)
            }

            async fn delete_bucket(
                &self,
                request: S3Request<DeleteBucketInput>,
            ) -> S3Result<S3Response<DeleteBucketOutput>> {
                self.remove_bucket(request.input).await?;
                Ok(S3Response::with_status(DeleteBucketOutput {}, StatusCode::NO_CONTENT))
            }

            async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
                Ok(S3Response::new(self.bucket_head(&request.input.bucket).await?))
            }

            async fn get_bucket_location(
                &self,
                request: S3Request<GetBucketLocationInput>,
            ) -> S3Result<S3Response<GetBucketLocationOutput>> {
                Ok(S3Response::new(self.bucket_location(&request.input.bucket).await?))
            }

            async fn get_bucket_versioning(
                &self,
                request: S3Request<GetBucketVersioningInput>,
            ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
                Ok(S3Response::new(self.versioning(request.input.bucket).await?))
            }
        }
    };
}

operations! { {
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput => begin_upload;
    list_parts(ListPartsInput) -> ListPartsOutput => upload_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput => uploads;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput => attributes;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput => get_cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput => put_cors;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput => get_notifications;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput)
        -> PutBucketNotificationConfigurationOutput => put_notifications;
    list_buckets(ListBucketsInput) -> ListBucketsOutput => all_buckets;
    list_objects(ListObjectsInput) -> ListObjectsOutput => list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output => list_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput => list_versions;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput => delete_many;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput => tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput => put_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput => delete_tags;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput => bucket_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput => put_bucket_acl_list;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput => object_acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput => put_object_acl_list;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput => bucket_tags;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput => put_bucket_tags;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput => policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput => policy_status;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput => put_policy;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput => access_block;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput => put_access_block;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
        -> GetBucketLifecycleConfigurationOutput => get_lifecycle;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput)
        -> PutBucketLifecycleConfigurationOutput => put_lifecycle;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput => no_website;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput => no_replication;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput => no_encryption;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput => no_logging;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput)
        -> GetBucketAccelerateConfigurationOutput => no_acceleration;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput => owner_pays;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
        -> GetBucketOwnershipControlsOutput => ownership;
    get_object_lock_configuration(GetObjectLockConfigurationInput)
        -> GetObjectLockConfigurationOutput => no_lock;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput => no_retention;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput => no_legal_hold;
    get_bucket_analytics_configuration(GetBucketAnalyticsConfigurationInput)
        -> GetBucketAnalyticsConfigurationOutput => no_analytics;
    get_bucket_intelligent_tiering_configuration(GetBucketIntelligentTieringConfigurationInput)
        -> GetBucketIntelligentTieringConfigurationOutput => no_tiering;
    get_bucket_inventory_configuration(GetBucketInventoryConfigurationInput)
        -> GetBucketInventoryConfigurationOutput => no_inventory;
    get_bucket_metrics_configuration(GetBucketMetricsConfigurationInput)
        -> GetBucketMetricsConfigurationOutput => no_metrics;
    list_bucket_analytics_configurations(ListBucketAnalyticsConfigurationsInput)
        -> ListBucketAnalyticsConfigurationsOutput => list_no_analytics;
    list_bucket_intelligent_tiering_configurations(ListBucketIntelligentTieringConfigurationsInput)
        -> ListBucketIntelligentTieringConfigurationsOutput => list_no_tiering;
    list_bucket_inventory_configurations(ListBucketInventoryConfigurationsInput)
        -> ListBucketInventoryConfigurationsOutput => list_no_inventory;
    list_bucket_metrics_configurations(ListBucketMetricsConfigurationsInput)
        -> ListBucketMetricsConfigurationsOutput => list_no_metrics;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput)
        -> PutBucketOwnershipControlsOutput => put_ownership;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput => put_versioning;
} without content {
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput => abort;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput => delete_one;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput => delete_cors;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput => delete_bucket_tags;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput => delete_policy;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput)
        -> DeleteBucketOwnershipControlsOutput => delete_ownership;
    delete_public_access_block(DeletePublicAccessBlockInput)
        -> DeletePublicAccessBlockOutput => delete_access_block;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput => delete_lifecycle;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput => forget_website;
    delete_bucket_replication(DeleteBucketReplicationInput)
        -> DeleteBucketReplicationOutput => forget_replication;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput => forget_encryption;
} }

/// Header with the number of an object's tags.
const TAG_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");

/// Reads the conditions of a copy on the object that it would replace, which `s3s` does not know.
fn target_conditions(headers: &HeaderMap) -> S3Result<WriteConditions> {
    let condition = |name: HeaderName| {
        let Some(value) = headers.get(&name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let parsed = ETagCondition::parse_http_header(value.as_bytes());
        let wrong = |_| s3s::s3_error!(InvalidArgument, "invalid header: {}", name.as_str());
        parsed.map(Some).map_err(wrong)
    };
    Ok(WriteConditions { if_match: condition(IF_MATCH)?, if_none_match: condition(IF_NONE_MATCH)? })
}

/// Largest document that a request may have as its body. CompleteMultipartUpload with 10,000 parts and their checksums
/// has less than 4 MiB.
pub(crate) const DOCUMENT_MAX_BYTES: usize = 8 << 20;

/// Who was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admitted {
    /// Somebody who knows a secret key.
    Signer,
    /// Somebody without credentials, who reads what is open to everyone.
    Guest,
}

/// Called when a request turns out to be authenticated, or to read what is open to everyone, before anything of its body
/// is read. Whoever serves the endpoint puts it among the extensions of a request, for example to lift limits on
/// strangers.
#[derive(Clone)]
pub struct OnAdmission(Arc<dyn Fn(Admitted) + Send + Sync>);

impl OnAdmission {
    /// Makes the callback.
    pub fn new(call: impl Fn(Admitted) + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    pub(crate) fn tell(extensions: &http::Extensions) {
        if let Some(Self(call)) = extensions.get::<Self>() {
            call(Admitted::Signer);
        }
    }

    pub(crate) fn tell_guest(extensions: &http::Extensions) {
        if let Some(Self(call)) = extensions.get::<Self>() {
            call(Admitted::Guest);
        }
    }
}

/// Admits everyone whose signature is right, and guests as far as policies go.
struct Callers(LocalS3);

#[async_trait::async_trait]
impl S3Access for Callers {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let is_signed = context.credentials().is_some();
        if !is_signed {
            return self.0.admit_guest(context).await;
        }
        admit(context.s3_op().name(), is_signed, context.uri(), context.headers())?;
        OnAdmission::tell(context.extensions_mut());
        Ok(())
    }
}

/// Admits a signed request that asks only for what is served. Nothing of its body is read, and nothing is changed.
pub(crate) fn admit(operation: &str, is_signed: bool, uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    if !is_signed {
        return Err(s3s::S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied"));
    }
    Ok(sieve(operation, uri.query(), headers, ACCOUNT)?)
}

/// The keys that may sign.
struct KeyPairs(Arc<BTreeMap<String, String>>);

#[async_trait::async_trait]
impl S3Auth for KeyPairs {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let unknown = || {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            s3s::S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message)
        };
        self.0.get(access_key).map(|secret| secret.clone().into()).ok_or_else(unknown)
    }
}

impl LocalS3 {
    /// Creates the HTTP service: S3 with Signature Version 4 by any of `credentials` (access key, secret). A bucket is
    /// named in the path, or in the host below one of the base domains.
    /// It can be the fallback of an axum router. Without credentials, it refuses every request.
    pub fn service(&self, credentials: Vec<(String, String)>) -> S3HttpService {
        let secrets: BTreeMap<_, _> =
            credentials.into_iter().filter(|(_, secret)| !secret.is_empty()).collect();
        let secrets = Arc::new(secrets);
        let mut config = S3Config::default();
        config.xml_max_body_size = DOCUMENT_MAX_BYTES;
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(KeyPairs(Arc::clone(&secrets)));
        builder.set_access(Callers(self.clone()));
        builder.set_host(self.inner.options.base_domains.clone());
        let mut verified = S3ServiceBuilder::new(self.clone());
        verified.set_host(self.inner.options.base_domains.clone());
        builder.set_route(IgnoredRange::new(verified.build()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        S3HttpService { s3: self.clone(), service: builder.build(), secrets }
    }
}

/// The endpoint as a tower service. It never fails: errors become S3 error responses.
#[derive(Clone)]
pub struct S3HttpService {
    s3: LocalS3,
    service: s3s::service::S3Service,
    secrets: Arc<BTreeMap<String, String>>,
}

impl<B> tower::Service<Request<B>> for S3HttpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Box<dyn std::error::Error + Send + Sync>: From<B::Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request.map(Body::http_body_unsync)).await) })
    }
}

impl S3HttpService {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let id = request_id();
        // The log's lines about a request have the id that its client sees.
        let span = tracing::error_span!("s3", request.id = %id);
        let mut response = self.answer_nameless(request).instrument(span).await;
        strip(&mut response);
        name(&mut response, &id);
        response
    }

    async fn answer_nameless(&self, request: Request<Body>) -> Response<Body> {
        let cross_origin = CrossOrigin::of(&request, &self.s3.inner.options.base_domains);
        let is_navigation = is_navigation(request.headers());
        if request.method() == Method::OPTIONS {
            let answer = match &cross_origin {
                Some(cross_origin) => cross_origin.preflight(&self.s3).await,
                None => None,
            };
            return answer.unwrap_or_else(|| no_preflight(request.headers()));
        }
        let is_http1 = request.version() <= http::Version::HTTP_11;
        let has_body = !http_body::Body::is_end_stream(request.body());
        let waits = request.headers().contains_key(http::header::EXPECT);
        let mut response = self.answer_s3(request).await;
        if is_http1 && ((has_body && is_failure(&response)) || (waits && !has_body)) {
            // Who waits for `100 Continue` before an empty body gets none, and some clients then lose count. The body may be unread, and a client that waits for `100 Continue` never sends it. So the next bytes on
            // this connection could be the body or another request.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        if let Some(cross_origin) = cross_origin {
            cross_origin.allow(&self.s3, response.headers_mut()).await;
        }
        disarm(&mut response, is_navigation);
        response
    }

    /// Lets a request in by its head, or refuses it without touching its body.
    async fn answer_s3(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        match door(&parts) {
            Ok(Door::Signed) => self.answer_signed(Request::from_parts(parts, body)).await,
            Ok(Door::Guest) => self.answer_guest(Request::from_parts(parts, body)).await,
            Ok(Door::Form) => {
                let secret = |key: &str| self.secrets.get(key).cloned();
                let form = self.s3.post_form(&parts, body, &secret, || OnAdmission::tell(&parts.extensions));
                match form.await {
                    Ok(response) => response,
                    Err(error) => error_response(error.into()),
                }
            }
            Err(refusal) if refusal.not_signed.is_empty() => error_response(refusal.into()),
            Err(refusal) => headers_not_signed(&refusal),
        }
    }

    /// Answers a request without a signature. Where no policy opens the bucket, nothing more is looked at.
    async fn answer_guest(&self, mut request: Request<Body>) -> Response<Body> {
        let named = self.s3.inner.options.base_domains.bucket_of(request.headers());
        let bucket = named.or_else(|| request.uri().path().split('/').nth(1).map(str::to_owned));
        if !bucket.is_some_and(|bucket| self.s3.is_open(&bucket)) {
            return error_response(denied());
        }
        drop_odd_range(request.headers_mut());
        let mut response = self.answer_signed(request).await;
        // How many tags an object has is not open to everyone.
        response.headers_mut().remove(TAG_COUNT);
        response
    }

    async fn answer_signed(&self, request: Request<Body>) -> Response<Body> {
        let has_body = !http_body::Body::is_end_stream(request.body());
        let (request, verdict) = judged(request, &self.s3.inner.options.base_domains);
        let is_of_attributes = is_of_attributes(&request);
        let announced = http_body::Body::size_hint(request.body()).lower();
        let mut response = match self.service.call(request).await {
            Ok(response) => response,
            Err(error) => {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                tracing::error!(error = &*error as &dyn std::error::Error, "cannot answer an S3 request");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return response;
            }
        };
        if has_body
            && response.status() == StatusCode::INTERNAL_SERVER_ERROR
            && is_without_words(response.body())
        {
            // All errors of this crate have a message. `s3s` gives this one alone when it cannot read a document.
            return error_response(unreadable_document(announced, &verdict));
        }
        if is_of_attributes && response.status().is_success() {
            unquote(&mut response);
        }
        if is_failure(&response) {
            tracing::debug!(status = response.status().as_u16(), "an S3 request was refused");
        }
        response
    }
}

fn is_failure(response: &Response<Body>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Whether this is a GetObjectAttributes.
fn is_of_attributes<B>(request: &Request<B>) -> bool {
    let names = query_names(request.uri().query());
    request.method() == Method::GET && names.iter().any(|(name, _)| name == "attributes")
}

/// Says why a document could not be read: it was refused, it is too long, or something else is wrong with it.
fn unreadable_document(announced_bytes: u64, verdict: &Verdict) -> s3s::S3Error {
    if let Some(refusal) = verdict.take() {
        return refusal.into();
    }
    if announced_bytes > DOCUMENT_MAX_BYTES as u64 {
        let message = "Your request was too big: the document in its body may have 8 MiB";
        return s3s::S3Error::with_message(S3ErrorCode::MaxMessageLengthExceeded, message);
    }
    s3s::S3Error::with_message(
        S3ErrorCode::IncompleteBody,
        "cannot read the whole body: it broke off, came too slowly, or is not what was signed",
    )
}

fn is_without_words(body: &Body) -> bool {
    let text = body.bytes().unwrap_or_default();
    memchr::memmem::find(&text, b"<Code>InternalError</Code>").is_some()
        && memchr::memmem::find(&text, b"<Message>").is_none()
}

fn error_response(error: s3s::S3Error) -> Response<Body> {
    tracing::debug!(code = error.code().as_str(), "an S3 request was refused");
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Answers as AWS does when a header is not part of the signature.
fn headers_not_signed(refusal: &Refusal) -> Response<Body> {
    tracing::debug!(code = refusal.code.as_str(), "an S3 request was refused");
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <HeadersNotSigned>{}</HeadersNotSigned></Error>",
        refusal.code.as_str(),
        escaped(&refusal.message),
        escaped(&refusal.not_signed.join(", "))
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = http::HeaderValue::from_static("application/xml");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
