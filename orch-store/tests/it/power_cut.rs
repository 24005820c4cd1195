//! The power fails: of each file only what was synced is there, and perhaps some of what was not.
//!
//! `strace` records all that a process writes, in order. For each acknowledgement the files are made again as a disk
//! could hold them at that moment, and the store is opened on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orch_core::id::IdStream;

use crate::workload::{GROUP, Model, child, ending_after, losing_writes, parse_ack};

/// One thing that the process did to a file, or said.
#[derive(Debug)]
enum Act {
    Write { file: PathBuf, at: usize, data: Vec<u8> },
    Truncate { file: PathBuf, len: usize },
    Sync { file: PathBuf },
    Unlink { file: PathBuf },
    Acknowledge { revision: u64 },
}

/// Runs the load under `strace`, over a new file in `folder`.
fn record(folder: &Path, groups: u64, durable: bool) -> Vec<Act> {
    let path = folder.join("orch.db");
    let mut load = child(&path);
    ending_after(&mut load, groups);
    if !durable {
        losing_writes(&mut load);
    }
    let trace = folder.join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e"])
        .arg("trace=write,pwrite64,pwritev,writev,lseek,fsync,fdatasync,ftruncate,unlink,unlinkat,rename")
        .arg("-o")
        .arg(&trace)
        .arg(load.get_program())
        .args(load.get_args())
        .envs(load.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdout(Stdio::null())
        .status()
        .expect("the power-cut test needs strace: install the Debian package strace");
    assert!(status.success(), "strace or the load failed: {status}");
    parse(&std::fs::read_to_string(&trace).unwrap(), folder)
}

fn parse(trace: &str, folder: &Path) -> Vec<Act> {
    let mut unfinished = BTreeMap::new();
    let mut positions: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut acts = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let call = if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun.to_owned());
            continue;
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            unfinished.remove(thread).expect("it began") + end
        } else {
            rest.to_owned()
        };
        acts.extend(parse_call(&call, folder, &mut positions));
    }
    acts
}

/// `name(fd<\x2f…>, "\x00…", 4096, 32) = 4096`
fn parse_call(call: &str, folder: &Path, positions: &mut BTreeMap<PathBuf, usize>) -> Option<Act> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") ").or_else(|| rest.rsplit_once(')'))?;
    let result: i64 = result.trim_start_matches(['=', ' ']).split(' ').next()?.parse().ok()?;
    let mut arguments = arguments.split(", ");
    let first = arguments.next()?;
    if let "unlink" = name {
        let file = path(first.trim_matches('"'));
        return (result == 0 && ours(&file, folder)).then_some(Act::Unlink { file });
    }
    let (_, file) = first.strip_suffix('>')?.split_once('<')?;
    let file = path(file);
    if name == "write"
        && let Some(revision) = arguments.clone().next().and_then(|data| parse_ack(&text(data)))
    {
        return Some(Act::Acknowledge { revision });
    }
    if !ours(&file, folder) {
        return None;
    }
    match name {
        "lseek" => {
            positions.insert(file, usize::try_from(result).ok()?);
            None
        }
        "write" => {
            let data = bytes(arguments.next()?);
            assert_eq!(data.len() as i64, result, "short writes are not in the model");
            let position = positions.entry(file.clone()).or_default();
            let at = *position;
            *position += data.len();
            Some(Act::Write { file, at, data })
        }
        "pwrite64" => {
            let data = bytes(arguments.next()?);
            assert_eq!(data.len() as i64, result, "short writes are not in the model");
            let at = arguments.nth(1)?.parse().ok()?;
            Some(Act::Write { file, at, data })
        }
        "ftruncate" => Some(Act::Truncate { file, len: arguments.next()?.parse().ok()? }),
        "fsync" | "fdatasync" => {
            assert_eq!(result, 0, "{call}");
            Some(Act::Sync { file })
        }
        other => panic!("{other} on {} is not in the model", file.display()),
    }
}

/// The database and its log. The shared memory beside them does not outlive the machine, nor does the lock.
fn ours(file: &Path, folder: &Path) -> bool {
    file.parent() == Some(folder) && file.extension().is_some_and(|end| end == "db" || end == "db-wal")
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(!hex.ends_with("..."), "strace cut a write short");
    let hex = hex.trim_matches('"');
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn text(hex: &str) -> String {
    String::from_utf8_lossy(&bytes(hex)).into_owned()
}

fn path(hex: &str) -> PathBuf {
    text(hex).into()
}

/// A file as the disk may hold it.
#[derive(Clone, Default)]
struct Disk {
    synced: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write { at: usize, data: Vec<u8> },
    Truncate { len: usize },
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => {
                if content.len() < at + data.len() {
                    content.resize(at + data.len(), 0);
                }
                content[*at..at + data.len()].copy_from_slice(data);
            }
            Self::Truncate { len } => content.resize(*len, 0),
        }
    }
}

#[derive(Default)]
struct Machine {
    disks: BTreeMap<PathBuf, Disk>,
}

impl Machine {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Write { file, at, data } => {
                self.disk(file).pending.push(Pending::Write { at: *at, data: data.clone() });
            }
            Act::Truncate { file, len } => self.disk(file).pending.push(Pending::Truncate { len: *len }),
            Act::Sync { file } => {
                let disk = self.disk(file);
                for pending in std::mem::take(&mut disk.pending) {
                    pending.apply(&mut disk.synced);
                }
            }
            Act::Unlink { file } => drop(self.disks.remove(file)),
            Act::Acknowledge { .. } => {}
        }
    }

    fn disk(&mut self, file: &Path) -> &mut Disk {
        self.disks.entry(file.to_owned()).or_default()
    }

    /// The files after a power cut now. Each write that was not synced is kept if `keep` says so.
    fn cut(&self, into: &Path, mut keep: impl FnMut() -> bool) {
        for (file, disk) in &self.disks {
            let mut content = disk.synced.clone();
            for pending in disk.pending.iter().filter(|_| keep()) {
                pending.apply(&mut content);
            }
            std::fs::write(into.join(file.file_name().unwrap()), content).unwrap();
        }
    }
}

/// What was wrong after the cuts at every acknowledgement, and how many cuts there were.
async fn cuts(groups: u64, durable: bool, seed: u64) -> (Vec<String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let acts = record(&folder.path().canonicalize().unwrap(), groups, durable);
    let (mut machine, mut model, mut random) = (Machine::default(), Model::default(), IdStream::seeded(seed));
    let (mut wrong, mut count, mut syncs) = (Vec::new(), 0, BTreeMap::<_, u32>::new());
    let mut acknowledged = 0;
    for act in &acts {
        // A cut just before something is synced finds the most writes that may be lost or kept.
        let about_to_sync = matches!(act, Act::Sync { file } if !machine.disk(file).pending.is_empty());
        if about_to_sync && acknowledged > 0 {
            count += 1;
            wrong.extend(one_cut(&machine, &mut model, acknowledged, || random.next_u64() % 2 == 0).await);
        }
        machine.act(act);
        if let Act::Sync { file } = act {
            *syncs.entry(file.file_name().unwrap().to_owned()).or_default() += 1;
        }
        if let Act::Acknowledge { revision } = act {
            acknowledged = *revision;
            count += 2;
            wrong.extend(one_cut(&machine, &mut model, acknowledged, || false).await);
            wrong.extend(one_cut(&machine, &mut model, acknowledged, || random.next_u64() % 2 == 0).await);
        }
    }
    assert_eq!(acknowledged, groups * GROUP, "the whole load was seen");
    let checkpoints = syncs.get(std::ffi::OsStr::new("orch.db")).copied().unwrap_or(0);
    assert!(checkpoints >= 3, "the log was brought into the database only {checkpoints} times");
    (wrong, count)
}

async fn one_cut(
    machine: &Machine,
    model: &mut Model,
    acknowledged: u64,
    keep: impl FnMut() -> bool,
) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    machine.cut(folder.path(), keep);
    model.check(&folder.path().join("orch.db"), acknowledged).await.err()
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_power_cut_and_no_group_is_there_in_half() {
    let (wrong, count) = cuts(40, true, 1).await;
    assert!(wrong.is_empty(), "{} of {count} cuts: {wrong:#?}", wrong.len());
}

#[tokio::test]
async fn without_full_synchronisation_a_power_cut_loses_what_was_acknowledged() {
    let (wrong, _) = cuts(40, false, 1).await;
    assert!(
        wrong.iter().any(|wrong| wrong.contains("was acknowledged")),
        "the recording does not see what is lost: {wrong:#?}"
    );
}
