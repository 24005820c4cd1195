//! Who asks, and what they may: users and nodes, authenticated by separate, replaceable backends.

pub mod action;
pub mod attestation;
pub mod authenticator;
pub mod credential;
pub mod enrollment;
pub mod enrollment_token;
pub mod fingerprint;
pub mod issuer;
pub mod permit;
pub mod principal;
pub mod role;
pub mod server_pin;
pub mod user_tokens;

pub use action::Action;
pub use attestation::{Attestation, NodeAttestor, ShownToken};
pub use authenticator::{AuthError, UserAuthenticator, UserProof};
pub use credential::{CredentialBinding, CredentialDigest, Issued, NodeCredential, Verdict};
pub use enrollment::{
    BootstrapProof, Challenge, Enrollment, EnrollmentRefused, KeyProof, NodePublicKey, Proven,
    RegistrationClaim,
};
pub use enrollment_token::{
    EnrollmentToken, EnrollmentTokenIssuer, TokenAdmission, TokenRefusal, TokenState,
};
pub use fingerprint::{InvalidFingerprint, KeyFingerprint};
pub use issuer::{
    CredentialIssuer, CredentialValidator, IssuedCredential, NotRecognised, PresentedCredential, Recognised,
};
pub use permit::{Authorized, Authorizer, Denied, Permit, Scope, authorize};
pub use principal::{Grants, NodePrincipal, PeerCertificate, Principal, RequestContext, UserIdentity};
pub use role::Role;
pub use server_pin::ServerPin;
pub use user_tokens::{ApiTokens, IssuedApiToken, NotAnApiToken, ShownApiToken};
