//! Bytes in any portions to cells: quotes, line ends, delimiters, and cells cut where they are
//! longer than anybody looks at. A cell of a gigabyte takes no more memory than one of a kilobyte.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

/// Bytes of one cell that are looked at; the rest is only counted.
pub(crate) const CELL_BYTES_MAX: usize = 16 * 1024;

/// What is told of the cells, in their order.
pub(crate) trait Sink {
    /// One cell: what is kept of it, how long it is in bytes, and whether its row ends with it.
    fn cell(&mut self, cell: &[u8], bytes: u64, last: bool);
}

pub(crate) struct Parser {
    reader: Reader,
    cell: Box<[u8]>,
    filled: usize,
    /// Bytes of the cell beyond what is kept.
    beyond: u64,
    /// Takes what is beyond.
    spill: Box<[u8]>,
}

impl Parser {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            cell: vec![0; CELL_BYTES_MAX].into_boxed_slice(),
            filled: 0,
            beyond: 0,
            spill: vec![0; 4 * 1024].into_boxed_slice(),
        }
    }

    /// Takes the next portion.
    pub(crate) fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) {
        while !input.is_empty() {
            let (_, read) = self.step(input, sink);
            input = &input[read..];
        }
    }

    /// Says that nothing follows.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) {
        while !self.step(&[], sink).0 {}
    }

    /// Whether all is read, and how many bytes of the input were taken.
    fn step(&mut self, input: &[u8], sink: &mut impl Sink) -> (bool, usize) {
        let kept = self.filled < self.cell.len();
        let output = if kept { &mut self.cell[self.filled..] } else { &mut self.spill };
        let (found, read, written) = self.reader.read_field(input, output);
        if kept {
            self.filled += written;
        } else {
            self.beyond += written as u64;
        }
        match found {
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
            ReadFieldResult::Field { record_end } => {
                sink.cell(&self.cell[..self.filled], self.filled as u64 + self.beyond, record_end);
                (self.filled, self.beyond) = (0, 0);
            }
            ReadFieldResult::End => return (true, read),
        }
        (false, read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Rows(Vec<Vec<(Vec<u8>, u64)>>, Vec<(Vec<u8>, u64)>);

    impl Sink for Rows {
        fn cell(&mut self, cell: &[u8], bytes: u64, last: bool) {
            self.1.push((cell.to_vec(), bytes));
            if last {
                self.0.push(std::mem::take(&mut self.1));
            }
        }
    }

    fn rows(text: &[u8], portion: usize) -> Vec<Vec<(Vec<u8>, u64)>> {
        let (mut parser, mut rows) = (Parser::new(b','), Rows::default());
        for part in text.chunks(portion) {
            parser.feed(part, &mut rows);
        }
        parser.end(&mut rows);
        assert!(rows.1.is_empty(), "a row without an end: {:?}", rows.1);
        rows.0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_is_read_whatever_the_portions(
            table in proptest::collection::vec(proptest::collection::vec("[a-z,;\"\r\n é]{0,12}", 2..5), 1..20),
            portion in 1_usize..40,
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &table { writer.write_record(row).unwrap(); }
            let text = writer.into_inner().unwrap();
            let read: Vec<Vec<String>> = rows(&text, portion).into_iter()
                .map(|row| row.into_iter().map(|(cell, _)| String::from_utf8(cell).unwrap()).collect())
                .collect();
            prop_assert_eq!(read, table);
        }
    }

    #[test]
    fn a_huge_cell_is_counted_and_cut_and_the_next_one_is_whole() {
        for quote in ["", "\""] {
            let long = "x".repeat(5 * CELL_BYTES_MAX + 7);
            let found = rows(format!("a,{quote}{long}{quote},b\nc,d,e").as_bytes(), 1_000);
            assert_eq!(found.len(), 2);
            assert_eq!((found[0][1].0.len(), found[0][1].1), (CELL_BYTES_MAX, long.len() as u64));
            assert_eq!(found[0][2].0, b"b");
            assert_eq!(found[1].len(), 3);
        }
    }

    #[test]
    fn cells_at_the_edge_of_what_is_kept_are_whole() {
        for length in CELL_BYTES_MAX - 2..CELL_BYTES_MAX + 3 {
            let found = rows(format!("{},b\n", "x".repeat(length)).as_bytes(), 977);
            assert_eq!(found[0][0].1, length as u64);
            assert_eq!(found[0][1].0, b"b");
        }
    }
}
