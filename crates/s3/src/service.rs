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
use http::{Method, Request, Response, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{Body, S3, S3ErrorCode, S3Request, S3Response, S3Result};

use crate::LocalS3;
use crate::browser::{disarm, is_navigation};
use crate::cors::{CrossOrigin, refused};
use crate::door::{Door, Refusal, door};
use crate::post_form::escaped;

/// Implements `S3`. A listed operation gives only its input to its method; the others are written out here.
macro_rules! operations {
    ($($operation:ident($input:ident) -> $output:ident => $method:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for LocalS3 {
            $(async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Ok(S3Response::new(self.$method(request.input).await?))
            })*

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

            async fn abort_multipart_upload(
                &self,
                request: S3Request<AbortMultipartUploadInput>,
            ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
                let output = self.abort(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
            }

            async fn delete_bucket_cors(
                &self,
                request: S3Request<DeleteBucketCorsInput>,
            ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
                let output = self.delete_cors(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
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
                let (output, is_partial) = self.head(request.input).await?;
                let status = is_partial.then_some(StatusCode::PARTIAL_CONTENT);
                Ok(S3Response { status, ..S3Response::new(output) })
            }

            async fn delete_object(
                &self,
                request: S3Request<DeleteObjectInput>,
            ) -> S3Result<S3Response<DeleteObjectOutput>> {
                let output = self.delete_one(request.input).await?;
                Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
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

            async fn get_bucket_acl(
                &self,
                request: S3Request<GetBucketAclInput>,
            ) -> S3Result<S3Response<GetBucketAclOutput>> {
                Ok(S3Response::new(self.bucket_acl(&request.input.bucket).await?))
            }

            async fn get_bucket_versioning(
                &self,
                request: S3Request<GetBucketVersioningInput>,
            ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
                self.require_bucket(&request.input.bucket).await?;
                Ok(S3Response::new(GetBucketVersioningOutput::default()))
            }
        }
    };
}

operations! {
    copy_object(CopyObjectInput) -> CopyObjectOutput => copy;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput => begin_upload;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput => copy_part;
    list_parts(ListPartsInput) -> ListPartsOutput => upload_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput => uploads;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput => attributes;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput => get_cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput => put_cors;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput => get_notifications;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput)
        -> PutBucketNotificationConfigurationOutput => put_notifications;
    create_bucket(CreateBucketInput) -> CreateBucketOutput => make_bucket;
    list_buckets(ListBucketsInput) -> ListBucketsOutput => all_buckets;
    list_objects(ListObjectsInput) -> ListObjectsOutput => list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output => list_v2;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput => delete_many;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput => tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput => put_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput => delete_tags;
}

/// Largest document that a request may have as its body. CompleteMultipartUpload with 10,000 parts and their checksums
/// has less than 4 MiB.
const DOCUMENT_MAX_BYTES: usize = 8 << 20;

/// Called when a request turns out to be authenticated, before anything of its body is read. Whoever serves the
/// endpoint puts it among the extensions of a request, for example to lift limits on strangers.
#[derive(Clone)]
pub struct OnAdmission(Arc<dyn Fn() + Send + Sync>);

impl OnAdmission {
    /// Makes the callback.
    pub fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    fn tell(extensions: &http::Extensions) {
        if let Some(Self(call)) = extensions.get::<Self>() {
            call();
        }
    }
}

/// Admits everyone whose signature is right, and nobody else.
struct Signers;

#[async_trait::async_trait]
impl S3Access for Signers {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3s::S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied"));
        }
        OnAdmission::tell(context.extensions_mut());
        Ok(())
    }
}

impl LocalS3 {
    /// Creates the HTTP service: path-style S3 with Signature Version 4 by any of `credentials` (access key, secret).
    /// It can be the fallback of an axum router. Without credentials, it refuses every request.
    pub fn service(&self, credentials: Vec<(String, String)>) -> S3HttpService {
        let secrets: BTreeMap<_, _> =
            credentials.into_iter().filter(|(_, secret)| !secret.is_empty()).collect();
        let mut auth = SimpleAuth::new();
        for (access, secret) in &secrets {
            auth.register(access.clone(), secret.clone().into());
        }
        let mut config = S3Config::default();
        config.xml_max_body_size = DOCUMENT_MAX_BYTES;
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(auth);
        builder.set_access(Signers);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        S3HttpService { s3: self.clone(), service: builder.build(), secrets: Arc::new(secrets) }
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
        let cross_origin = CrossOrigin::of(&request);
        let is_navigation = is_navigation(request.headers());
        if request.method() == Method::OPTIONS {
            let answer = match &cross_origin {
                Some(cross_origin) => cross_origin.preflight(&self.s3).await,
                None => None,
            };
            return answer.unwrap_or_else(refused);
        }
        let is_http1 = request.version() <= http::Version::HTTP_11;
        let has_body = !http_body::Body::is_end_stream(request.body());
        let mut response = self.answer_s3(request).await;
        if is_http1 && has_body && is_failure(&response) {
            // The body may be unread, and a client that waits for `100 Continue` never sends it. So the next bytes on
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

    async fn answer_signed(&self, request: Request<Body>) -> Response<Body> {
        let has_body = !http_body::Body::is_end_stream(request.body());
        let announced = http_body::Body::size_hint(request.body()).lower();
        let response = match self.service.call(request).await {
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
            return error_response(unreadable_document(announced));
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

/// Says why a document could not be read: it is too long, or something else is wrong with it.
fn unreadable_document(announced_bytes: u64) -> s3s::S3Error {
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
