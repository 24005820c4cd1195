//! What leaves the Docker module.

/// Public signatures name no type of the crate that speaks with the engine: an embedder never depends on it.
#[test]
fn no_type_of_docker_api_is_public() {
    let sources = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut folders = vec![sources.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let inside = path.starts_with(sources.join("docker"));
            assert!(inside || !text.contains("docker_api"), "{}", path.display());
            for line in text.lines().filter(|line| line.contains("docker_api")) {
                assert!(!line.trim_start().starts_with("pub "), "{}: {line}", path.display());
            }
        }
    }
    assert!(files > 10, "the sources are where they were");
}
