//! Listening sockets that may outlive the process that opened them.
//!
//! A program that is replaced hands its sockets to the next one. What connects in between
//! waits in the kernel's queue of the socket, and is refused by nobody.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The sockets that this process listens on, and those that it was given and does not use
/// yet, by port.
#[derive(Debug, Default)]
pub struct Listeners {
    sockets: Mutex<BTreeMap<u16, TcpListener>>,
}

impl Listeners {
    /// Those that were given: by the program that ran before, or by systemd.
    pub fn given(sockets: impl IntoIterator<Item = TcpListener>) -> Self {
        let by_port = sockets
            .into_iter()
            .filter_map(|socket| Some((socket.local_addr().ok()?.port(), socket)));
        Self { sockets: Mutex::new(by_port.collect()) }
    }

    /// The socket of this port that was given, whatever address it is bound to; else a new one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn listen(&self, address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
        let mut sockets = self.lock();
        let listener = match sockets.get(&address.port()) {
            Some(given) => given.try_clone()?,
            None => {
                let new = TcpListener::bind(address)?;
                sockets.insert(new.local_addr()?.port(), new.try_clone()?);
                new
            }
        };
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }

    /// Nobody listens on this port any more, once the socket that [`Self::listen`] gave is
    /// dropped.
    pub fn release(&self, port: u16) {
        self.lock().remove(&port);
    }

    /// All of them, for the program that runs next. They stay open as long as what is
    /// returned.
    pub fn take(&self) -> Vec<TcpListener> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, TcpListener>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_comes_while_nobody_serves_is_served_by_who_is_given_the_socket() {
        let first = Listeners::default();
        let listening = first.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listening.local_addr().unwrap();
        let handed_over = first.take();
        drop((listening, first));

        let mut waiting = TcpStream::connect(address).unwrap();
        waiting.write_all(b"hello").unwrap();

        let next = Listeners::given(handed_over);
        let listening = next.listen(address).unwrap();
        let (stream, _) = listening.accept().await.unwrap();
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
    }

    #[tokio::test]
    async fn a_port_that_was_released_is_refused() {
        let listeners = Listeners::default();
        let listening = listeners.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listening.local_addr().unwrap();
        drop(listening);
        assert!(TcpStream::connect(address).is_ok(), "the socket is kept");
        listeners.release(address.port());
        assert!(TcpStream::connect(address).is_err());
    }
}
