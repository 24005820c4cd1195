//! The contract of `ContainerRuntime`, held by each runtime.

use crate::fixture::{DockerFixture, ProcessFixture};

orch_core::runtime_contract!(docker => Box::new(DockerFixture::new().await));
orch_core::runtime_contract!(process => Box::new(ProcessFixture::new().await));
