//! The contract of `ContainerRuntime`, held by each runtime.

use crate::fixture::DockerFixture;

orch_core::runtime_contract!(docker => Box::new(DockerFixture::new().await));
