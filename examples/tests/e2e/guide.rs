//! The daily guide, run as it stands: each command in its `console` blocks, in order, on a site of two nodes.
//!
//! A block is lines of `$ command`, each followed by what it must print: a line may leave out anything by `…`, and other lines may
//! come before and after. `[exit N]` is its exit status, 0 if nothing is said. A `yaml` block whose first line names a file is written.
//! `systemctl` and `ssh` are the only words that mean something else here: this site's own daemons.

use std::path::Path;
use std::process::Command;

use crate::engine;
use crate::site::{Ran, Site};

const CHAPTERS: [&str; 8] = ["deploy", "wrong", "watch", "nodes", "users", "secrets", "server", "tls"];

/// A command of the guide, and what it promises.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    command: String,
    exit: i32,
    output: Vec<String>,
}

#[derive(Debug, Default)]
struct Chapter {
    files: Vec<(String, String)>,
    steps: Vec<Step>,
}

fn read(text: &str) -> Chapter {
    let mut chapter = Chapter::default();
    let mut block: Option<(&str, Vec<(usize, &str)>)> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut block) {
            (Some(""), open @ Some(_)) => {
                if let Some((kind, lines)) = open.take() {
                    chapter.take(kind, &lines);
                }
            }
            (Some(kind), None) => block = Some((kind, Vec::new())),
            (_, Some((_, lines))) => lines.push((index + 1, line)),
            (None, None) => {}
        }
    }
    assert!(block.is_none(), "a block has no end");
    chapter
}

impl Chapter {
    fn take(&mut self, kind: &str, lines: &[(usize, &str)]) {
        match kind {
            "yaml" => {
                let name =
                    lines.first().and_then(|(_, line)| line.strip_prefix("# ")).expect("a file's name");
                let text: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
                self.files.push((name.to_owned(), text.join("\n") + "\n"));
            }
            "console" => {
                for (line, text) in lines {
                    if let Some(command) = text.strip_prefix("$ ") {
                        self.steps.push(Step { line: *line, command: command.to_owned(), ..Step::default() });
                        continue;
                    }
                    let step = self.steps.last_mut().expect("a block begins with a command");
                    match text.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')) {
                        Some(code) => step.exit = code.parse().expect("a number"),
                        None => step.output.push((*text).to_owned()),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether a line holds the parts of a pattern, in order; without `…` at an end it begins or ends so.
fn matches(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let (mut rest, last) = (line, parts.len() - 1);
    for (index, part) in parts.iter().enumerate() {
        let found = match (index, index == last) {
            (0, true) => return line == *part,
            (0, false) => rest.strip_prefix(part),
            (_, true) => return rest.ends_with(part),
            (_, false) => rest.find(part).map(|at| &rest[at + part.len()..]),
        };
        match found {
            Some(left) => rest = left,
            None => return false,
        }
    }
    true
}

struct Guide {
    site: Site,
    shell_image: String,
}

impl Guide {
    fn ours(&self, text: &str) -> String {
        text.replace("orch-demo/web", &self.site.image).replace("busybox:1", &self.shell_image)
    }

    fn run(&mut self, step: &Step) -> Ran {
        let words: Vec<&str> = step.command.split_whitespace().collect();
        match words[..] {
            ["systemctl", "stop", "orch-server"] => self.site.stop_server(),
            ["systemctl", "start", "orch-server"] => {
                self.site.start_server();
                ["a", "b"]
                    .iter()
                    .filter(|name| self.site.has_agent(name))
                    .for_each(|name| self.site.wait_for_agent(name));
            }
            ["systemctl", "restart", "orch-server"] => {
                self.site.stop_server();
                self.site.start_server();
            }
            ["ssh", node, "systemctl", "start", "orch-agent"] => {
                let token = std::fs::read_to_string(self.site.path(&format!("{node}.token"))).unwrap();
                self.site.start_agent_as(node, node, Some(token.trim()));
                self.site.wait_for_agent(node);
            }
            ["ssh", node, "systemctl", "stop", "orch-agent"] => self.site.stop_agent(node),
            ["ssh", node, "systemctl", "restart", "orch-agent"] => {
                self.site.stop_agent(node);
                self.site.start_agent(node);
                self.site.wait_for_agent(node);
            }
            ["ssh", node, "systemctl", "kill", "-s", "KILL", "orch-agent"] => self.site.kill_agent(node),
            ["systemctl" | "ssh", ..] => panic!("`{}` means nothing here", step.command),
            _ => return self.shell(&step.command),
        }
        Ran { code: 0, out: String::new(), err: String::new() }
    }

    fn shell(&self, command: &str) -> Ran {
        let orch = self.site.command(&[]);
        let folder = Path::new(orch.get_program()).parent().unwrap().to_owned();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.ours(command)]).current_dir(self.site.path(".")).env_clear();
        shell.envs(orch.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
        let output = shell.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Whether a step came out as the guide says; else what is wrong.
    fn check(&self, step: &Step, ran: &Ran) -> Result<(), String> {
        if ran.code != step.exit {
            return Err(format!("ended with {}, not {}", ran.code, step.exit));
        }
        let mut lines = ran.out.lines().chain(ran.err.lines());
        for pattern in &step.output {
            let wanted = self.ours(pattern);
            if !lines.any(|line| matches(&wanted, line)) {
                return Err(format!("nothing (more) is like `{wanted}`"));
            }
        }
        Ok(())
    }
}

#[test]
fn every_command_of_the_guide_does_what_it_says_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let site = Site::start(&["a", "b"]);
    let shell_image = engine::import_shell(&site.image);
    let mut guide = Guide { site, shell_image };
    let mut count = 0;
    for name in CHAPTERS {
        let text = std::fs::read_to_string(folder.join(name).with_extension("md")).unwrap();
        let chapter = read(&text);
        for (file, text) in &chapter.files {
            std::fs::write(guide.site.path(file), guide.ours(text)).unwrap();
        }
        assert!(!chapter.steps.is_empty(), "{name} has no commands");
        for step in &chapter.steps {
            let ran = guide.run(step);
            if let Err(problem) = guide.check(step, &ran) {
                let Step { line, command, .. } = step;
                panic!("docs/guide/{name}.md:{line}: `{command}` {problem}\n{}{}", ran.out, ran.err);
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count} commands were run");
}

#[test]
fn a_block_that_no_longer_works_is_found() {
    let chapter =
        read("text\n```console\n$ one\nout…end\n$ two\n[exit 3]\n```\n```yaml\n# f.yaml\na: 1\n```\n");
    assert_eq!(chapter.files, [("f.yaml".to_owned(), "# f.yaml\na: 1\n".to_owned())]);
    let steps: Vec<_> =
        chapter.steps.iter().map(|s| (s.line, s.command.as_str(), s.exit, s.output.len())).collect();
    assert_eq!(steps, [(3, "one", 0, 1), (5, "two", 3, 0)]);
    for (pattern, line, fits) in [
        ("web…3/3", "web  active  3/3", true),
        ("web…3/3", "web  active  3/3  more", false),
        ("web…3/3…", "web  active  3/3  more", true),
        ("web…3/3", "the web 3/3", false),
        ("…a…b…", "xaxbx", true),
        ("…b…a…", "xaxbx", false),
        ("inside", "inside", true),
        ("inside", "inside out", false),
    ] {
        assert_eq!(matches(pattern, line), fits, "{pattern} {line}");
    }
}

#[test]
fn the_front_page_names_every_chapter_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let front = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let named: Vec<_> = front.match_indices("](").map(|(at, _)| &front[at + 2..]).collect();
    let named: Vec<_> =
        named.iter().filter_map(|rest| rest.split_once(".md)").map(|(name, _)| name)).collect();
    let chapters: Vec<_> = named.into_iter().filter(|name| !name.starts_with("..")).collect();
    assert_eq!(chapters, CHAPTERS);
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, CHAPTERS.len() + 1, "a chapter that is not run");
}
