//! Access control lists. Everything belongs to the owner of the bucket, so there is one list: full control for the owner.
//!
//! A list that says the same is taken and changes nothing; any other is refused, as AWS refuses it for such buckets.

use s3s::S3ErrorCode;
use s3s::dto::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Grant,
    Grantee, Permission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::record::object;
use crate::objects::list::owner;

/// Returns the one list.
fn grants() -> Option<Vec<Grant>> {
    let grantee = Grantee {
        display_name: owner().display_name,
        id: owner().id,
        type_: Type::from_static(Type::CANONICAL_USER),
        email_address: None,
        uri: None,
    };
    let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
    Some(vec![Grant { grantee: Some(grantee), permission }])
}

/// Refuses a list that is not the one that everything has. `is_named` says that a header names a list, which was checked
/// before.
fn check(is_named: bool, list: Option<AccessControlPolicy>) -> Result<()> {
    let Some(list) = list else {
        if is_named {
            return Ok(());
        }
        let message =
            "Your request was missing a required header: x-amz-acl, or a body with an access control list";
        return Err(Error::refused(S3ErrorCode::MissingSecurityHeader, message));
    };
    if is_named {
        let message = "Specifying both Canned ACLs and Header Grants or a body is not allowed";
        return Err(Error::refused(S3ErrorCode::InvalidRequest, message));
    }
    let is_owner = |id: Option<&String>| id == owner().id.as_ref();
    let is_owners = |grant: &Grant| {
        grant.grantee.as_ref().is_some_and(|grantee| is_owner(grantee.id.as_ref()) && grantee.uri.is_none())
            && grant.permission.as_ref().is_some_and(|it| it.as_str() == Permission::FULL_CONTROL)
    };
    let is_same_owner =
        list.owner.as_ref().is_none_or(|given| given.id.is_none() || is_owner(given.id.as_ref()));
    let grants = list.grants.unwrap_or_default();
    if is_same_owner && !grants.is_empty() && grants.iter().all(is_owners) {
        return Ok(());
    }
    Err(Error::refused(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs"))
}

impl LocalS3 {
    pub(crate) async fn bucket_acl(&self, input: GetBucketAclInput) -> Result<GetBucketAclOutput> {
        self.require_bucket(&input.bucket).await?;
        Ok(GetBucketAclOutput { grants: grants(), owner: Some(owner()) })
    }

    pub(crate) async fn put_bucket_acl_list(&self, input: PutBucketAclInput) -> Result<PutBucketAclOutput> {
        self.require_bucket(&input.bucket).await?;
        check(input.acl.is_some(), input.access_control_policy)?;
        Ok(PutBucketAclOutput {})
    }

    pub(crate) async fn object_acl(&self, input: GetObjectAclInput) -> Result<GetObjectAclOutput> {
        self.inner.index.read(move |reader| object(reader, &input.bucket, &input.key)).await?;
        Ok(GetObjectAclOutput { grants: grants(), owner: Some(owner()), request_charged: None })
    }

    pub(crate) async fn put_object_acl_list(&self, input: PutObjectAclInput) -> Result<PutObjectAclOutput> {
        let (bucket, key) = (input.bucket, input.key);
        self.inner.index.read(move |reader| object(reader, &bucket, &key)).await?;
        check(input.acl.is_some(), input.access_control_policy)?;
        Ok(PutObjectAclOutput::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(is_named: bool, list: Option<AccessControlPolicy>) -> String {
        check(is_named, list).err().map_or_else(String::new, |error| error.s3_code().to_owned())
    }

    #[test]
    fn only_the_owners_own_list_is_taken() {
        let list = |change: fn(&mut Grantee)| {
            let mut grants = grants().unwrap();
            change(grants[0].grantee.as_mut().unwrap());
            Some(AccessControlPolicy { grants: Some(grants), owner: Some(owner()) })
        };
        assert_eq!(code(false, list(|_| {})), "");
        assert_eq!(code(true, None), "");
        assert_eq!(code(false, None), "MissingSecurityHeader");
        assert_eq!(code(true, list(|_| {})), "InvalidRequest");
        let refused = "AccessControlListNotSupported";
        assert_eq!(code(false, list(|grantee| grantee.id = Some("other".to_owned()))), refused);
        assert_eq!(code(false, list(|grantee| grantee.uri = Some("AllUsers".to_owned()))), refused);
        assert_eq!(code(false, Some(AccessControlPolicy { grants: None, owner: Some(owner()) })), refused);
        let mut more = list(|_| {}).unwrap();
        let mut other = grants().unwrap().remove(0);
        other.grantee.as_mut().unwrap().id = Some("other".to_owned());
        more.grants.as_mut().unwrap().push(other);
        assert_eq!(code(false, Some(more)), refused, "the owner's own grant does not excuse another");
        let mut less = list(|_| {}).unwrap();
        less.grants.as_mut().unwrap()[0].permission = Some(Permission::from_static(Permission::READ));
        assert_eq!(code(false, Some(less)), refused);
    }
}
