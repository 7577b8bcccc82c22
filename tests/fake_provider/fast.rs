//! For benchmarks: reads requests as far as needed to find their end, counts them, and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 45\r\n\r\n\
{\"id\":\"00000000-0000-0000-0000-000000000000\"}";

/// Serves until the process is killed; every answer takes `delay`.
pub(crate) async fn serve(listener: TcpListener, delay: Duration) -> Result<(), Failure> {
    let requests = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, delay, Arc::clone(&requests)));
    }
}

async fn connection(mut stream: TcpStream, delay: Duration, requests: Arc<AtomicU64>) -> Option<()> {
    let mut buffer = vec![0; 128 * 1024];
    let mut filled = 0;
    loop {
        let (head, body) = loop {
            if let Some(head) = end_of_head(&buffer[..filled]) {
                break (head, content_length(&buffer[..head]));
            }
            filled += some(stream.read(buffer.get_mut(filled..)?).await.ok()?)?;
        };
        let stats = buffer.starts_with(b"GET /stats");
        let mut missing = (head + body).saturating_sub(filled);
        filled = filled.saturating_sub(head + body);
        if filled > 0 {
            buffer.copy_within(head + body..head + body + filled, 0);
        }
        while missing > 0 {
            let room = buffer.len().min(missing);
            missing -= some(stream.read(&mut buffer[..room]).await.ok()?)?;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if stats {
            let text = format!("{{\"requests\":{}}}", requests.load(Ordering::Relaxed));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(answer.as_bytes()).await.ok()?;
        } else {
            requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await.ok()?;
        }
    }
}

fn some(read: usize) -> Option<usize> {
    (read > 0).then_some(read)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\ncontent-length:";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME));
    let digits = at.map_or(&[][..], |at| &head[at + NAME.len()..]);
    let digits = digits.iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}
