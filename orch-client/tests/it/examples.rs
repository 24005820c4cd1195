//! The specs in `examples/specs` are what the documentation points at: each must be one that deploys.

use orch_core::command::FieldPath;

#[test]
fn every_example_of_a_deploy_file_is_a_valid_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/specs");
    let mut read = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let services =
            orch_client::deploy_file::parse(&text).unwrap_or_else(|error| panic!("{}", error.in_file(&name)));
        for service in &services {
            let parsed = service.parse(&FieldPath::default()).unwrap();
            assert_eq!(orch_core::service::validation::check_spec(&parsed), Ok(()), "{name}");
        }
        read += services.len();
    }
    assert!(read >= 4, "{read} services in {}", folder.display());
}
