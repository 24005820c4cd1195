//! A wire between two that talk, and what can be wrong with it. The kernel of a test machine need not know how to lose packets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// All gets through.
    Fine,
    /// What was open is cut, and nothing new comes through.
    Cut,
    /// All gets through, so much later.
    Slow(Duration),
    /// Questions get through, and no answers.
    Mute,
    /// What was carried out is answered with 500.
    Lying,
}

/// A wire that can be spoiled while it is in use.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    mood: Mutex<Mood>,
    open: Mutex<Vec<Ends>>,
}

impl Wire {
    /// A TCP port of its own before another.
    pub(crate) fn to_port(port: u16) -> (Self, u16) {
        let wire = Self::new();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let carrying = wire.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(("127.0.0.1", port));
                carrying.join(far.and_then(|far| Ends::tcp(near, far)));
            }
        });
        (wire, own)
    }

    /// A Unix socket of its own before another.
    pub(crate) fn to_socket(socket: PathBuf, own: &Path) -> Self {
        let wire = Self::new();
        let listener = UnixListener::bind(own).unwrap();
        let carrying = wire.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                carrying.join(UnixStream::connect(&socket).and_then(|far| Ends::unix(near, far)));
            }
        });
        wire
    }

    fn new() -> Self {
        Self(Arc::new(Shared { mood: Mutex::new(Mood::Fine), open: Mutex::default() }))
    }

    /// From now on it is so.
    pub(crate) fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
        if mood != Mood::Fine && !matches!(mood, Mood::Slow(_)) {
            self.0.open.lock().unwrap().drain(..).for_each(|ends| ends.cut());
        }
    }

    fn mood(&self) -> Mood {
        *self.0.mood.lock().unwrap()
    }

    fn join(&self, ends: io::Result<Ends>) {
        let Ok(ends) = ends else { return };
        if self.mood() == Mood::Cut {
            return ends.cut();
        }
        let (Ok(mut asking), Ok(mut answering)) = (ends.asking(), ends.answering()) else { return };
        self.0.open.lock().unwrap().push(ends);
        let wire = self.clone();
        thread::spawn(move || while wire.carry(&mut asking, false) {});
        let wire = self.clone();
        thread::spawn(move || while wire.carry(&mut answering, true) {});
    }

    /// A piece, one way. Answers whether there may be more.
    fn carry(&self, way: &mut Way, answers: bool) -> bool {
        let mut bytes = vec![0; 16 << 10];
        let Ok(count @ 1..) = way.from.read(&mut bytes) else {
            way.end();
            return false;
        };
        bytes.truncate(count);
        match self.mood() {
            Mood::Slow(by) => thread::sleep(by),
            Mood::Mute if answers => return true,
            Mood::Lying
                if answers && bytes.starts_with(b"HTTP/1.1 20") && !bytes.starts_with(b"HTTP/1.1 200") =>
            {
                let lie =
                    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = way.to.write_all(lie);
                way.end();
                return false;
            }
            _ => {}
        }
        way.to.write_all(&bytes).is_ok()
    }
}

/// One direction.
struct Way {
    from: Box<dyn Read + Send>,
    to: Box<dyn Write + Send>,
    ends: Ends,
}

impl Way {
    fn end(&self) {
        self.ends.cut();
    }
}

enum Ends {
    Tcp(TcpStream, TcpStream),
    Unix(UnixStream, UnixStream),
}

impl Ends {
    fn tcp(near: TcpStream, far: TcpStream) -> io::Result<Self> {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        Ok(Self::Tcp(near, far))
    }

    fn unix(near: UnixStream, far: UnixStream) -> io::Result<Self> {
        Ok(Self::Unix(near, far))
    }

    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(near, far) => Self::Tcp(near.try_clone()?, far.try_clone()?),
            Self::Unix(near, far) => Self::Unix(near.try_clone()?, far.try_clone()?),
        })
    }

    fn asking(&self) -> io::Result<Way> {
        let ends = self.again()?;
        Ok(match self.again()? {
            Self::Tcp(near, far) => Way { from: Box::new(near), to: Box::new(far), ends },
            Self::Unix(near, far) => Way { from: Box::new(near), to: Box::new(far), ends },
        })
    }

    fn answering(&self) -> io::Result<Way> {
        let ends = self.again()?;
        Ok(match self.again()? {
            Self::Tcp(near, far) => Way { from: Box::new(far), to: Box::new(near), ends },
            Self::Unix(near, far) => Way { from: Box::new(far), to: Box::new(near), ends },
        })
    }

    fn cut(&self) {
        // Either side may have ended by itself.
        let _ = match self {
            Self::Tcp(near, far) => (near.shutdown(Shutdown::Both).ok(), far.shutdown(Shutdown::Both).ok()),
            Self::Unix(near, far) => (near.shutdown(Shutdown::Both).ok(), far.shutdown(Shutdown::Both).ok()),
        };
    }
}
