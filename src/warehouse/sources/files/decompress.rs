//! The bytes of a file of text: decompressed by what it begins with, never by its name, and every frame, member and stream
//! of it to the last. A file that is compressed in another way, or is of another format, is refused by name.

use std::io::{self, Read};

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio_util::io::{ReaderStream, StreamReader};

use super::failure::FileFailure;
use crate::storage::FoundFile;

/// What is read of a local file, and decompressed, at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// What compressed files begin with.
const CODECS: &[(&[u8], Codec)] = &[
    (&[0x1f, 0x8b], Codec::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Codec::Zstd),
    (b"BZh", Codec::Bzip2),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], Codec::Xz),
];

/// A frame of Zstandard that is to be skipped begins with one of sixteen bytes, then with these.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// What files of other formats begin with; what may begin a text too is followed by bytes that no text has.
const OTHERS: &[(&[u8], &str)] = &[
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
    (b"%PDF-", "a PDF"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (&[0x04, 0x22, 0x4d, 0x18], "compressed with LZ4, which is not read"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy, which is not read"),
    (&[0x1f, 0x9d], "compressed with compress, which is not read"),
    (b"LZIP", "compressed with lzip, which is not read"),
    (&[0x5d, 0x00, 0x00], "compressed with LZMA, which is not read"),
    (&[0xff, 0xfe], "text in UTF-16, which is not read: save it in UTF-8"),
    (&[0xfe, 0xff], "text in UTF-16, which is not read: save it in UTF-8"),
];

/// So many bytes tell what a file is.
pub(super) const HEAD_BYTES: u64 = HEAD_LENGTH as u64;
const HEAD_LENGTH: usize = 16;

/// Ends of names that promise a compressed file.
pub(super) const ENDINGS: [&str; 8] = [".gz", ".gzip", ".zst", ".zstd", ".bz2", ".bzip2", ".xz", ".bgz"];

/// The file's bytes, decompressed; `name` is the file's whole name, `format` such as `CSV file`.
pub(super) async fn decompressed(
    (name, format): (&str, &'static str),
    store: &dyn ObjectStore,
    file: &FoundFile,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let failed = |error: datafusion::object_store::Error| {
        FileFailure::of_store(name, &error).map_or_else(|| DataFusionError::ObjectStore(Box::new(error)), Into::into)
    };
    let found = store.get(&file.location).await.map_err(failed)?;
    let raw = match found.payload {
        GetResultPayload::File(file, _) => blocks(file),
        GetResultPayload::Stream(stream) => stream.map_err(io::Error::other).boxed(),
    };
    let named = {
        let name = name.to_owned();
        move |error: io::Error| DataFusionError::from(FileFailure::of_decoding(&name, format, &error))
    };
    let (head, bytes) = peek(raw).await.map_err(&named)?;
    refuse_others((name, format), &head)?;
    let codec = codec(&head);
    if codec.is_none() && ends_too_early(name, &head) {
        let reason = "it holds less than the beginning of a compressed file".to_owned();
        return Err(FileFailure::CutShort { file: name.to_owned(), reason }.into());
    }
    let Some(codec) = codec else { return Ok(bytes.map_err(named).boxed()) };
    let (head, bytes) = peek(decoded(codec, bytes)).await.map_err(&named)?;
    refuse_others((name, format), &head)?;
    Ok(bytes.map_err(named).boxed())
}

type Raw = BoxStream<'static, io::Result<Bytes>>;

/// A local file in large blocks: the store's own stream takes a thread's turn for every few kilobytes.
fn blocks(file: std::fs::File) -> Raw {
    stream::try_unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK_BYTES];
        let read = file.read(&mut block)?;
        block.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(block), file)))
    })
    .boxed()
}

/// The first bytes, and all bytes with them.
async fn peek(mut bytes: Raw) -> io::Result<(Vec<u8>, Raw)> {
    let mut head = Vec::new();
    while head.len() < HEAD_LENGTH {
        match bytes.try_next().await? {
            Some(block) => head.extend_from_slice(&block),
            None => break,
        }
    }
    let begun = Bytes::from(head);
    let first = begun.slice(..begun.len().min(HEAD_LENGTH)).to_vec();
    Ok((first, stream::iter([Ok(begun)]).chain(bytes).boxed()))
}

fn codec(head: &[u8]) -> Option<Codec> {
    if head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == SKIPPABLE {
        return Some(Codec::Zstd);
    }
    CODECS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, codec)| *codec)
}

/// Whether a file whose name promises compression holds less than the mark of any.
fn ends_too_early(name: &str, head: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) && CODECS.iter().any(|(magic, _)| magic.starts_with(head))
}

/// What a file is that is neither text nor compressed text, by its first bytes.
fn binary_format(head: &[u8]) -> Option<&'static str> {
    let found = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
    found.filter(|_| !is_plain_text(head)).map(|(_, found)| *found)
}

fn is_plain_text(head: &[u8]) -> bool {
    head.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~'))
}

/// What a file is that is no Parquet file, where its first bytes tell.
pub(super) fn other_format(head: &[u8]) -> Option<&'static str> {
    binary_format(head)
        .or_else(|| codec(head).map(|_| "compressed as a whole: Parquet files are compressed within"))
        .or_else(|| is_plain_text(head).then_some("a file of text"))
}

fn refuse_others((name, format): (&str, &'static str), head: &[u8]) -> Result<()> {
    match binary_format(head) {
        Some(found) => Err(FileFailure::OtherFormat { file: name.to_owned(), format, found }.into()),
        None => Ok(()),
    }
}

fn decoded(codec: Codec, bytes: Raw) -> Raw {
    let reader = StreamReader::new(bytes);
    macro_rules! all_members {
        ($decoder:ty) => {{
            let mut decoder = <$decoder>::new(reader);
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, BLOCK_BYTES).boxed()
        }};
    }
    match codec {
        Codec::Gzip => all_members!(GzipDecoder<_>),
        Codec::Zstd => all_members!(ZstdDecoder<_>),
        Codec::Bzip2 => all_members!(BzDecoder<_>),
        Codec::Xz => all_members!(XzDecoder<_>),
    }
}
