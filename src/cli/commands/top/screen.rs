//! `top` on a terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_metrics::Snapshot;
use chimaera_runtime::log::displayed;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Gauge, Paragraph, Row, Table, TableState};
use ratatui::Frame;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::tables::{self, Kind, Sort};
use super::view::View;
use crate::context::{Failed, Outcome};

const HELP: &str = "\
Tab  1 to 5   another table
Up Down j k   move         PgUp PgDn Home End
< >           sort by the column before or behind
r             sort the other way round
/             show only rows with a text; Enter keeps it, Esc drops it
Space         stop and go on
+ -           look less or more often
h ?           this help
q             leave";

/// How soon an answer is shown, and a signal to end noticed.
const LOOK: Duration = Duration::from_millis(50);
/// After how long it is said that the runtime does not answer.
const SILENCE: Duration = Duration::from_secs(1);
/// The longest text by which rows are chosen.
const MOST_FILTER: usize = 200;

/// The shortest and the longest interval that keys choose.
const INTERVALS: [Duration; 2] = [Duration::from_millis(125), Duration::from_secs(64)];

/// What the person has chosen.
struct Screen<'a> {
    instance: &'a str,
    view: View,
    /// Why nothing new is shown.
    silent: Option<String>,
    kind: Kind,
    sorts: [Sort; Kind::ALL.len()],
    selected: [TableState; Kind::ALL.len()],
    filter: String,
    writes_filter: bool,
    stopped: bool,
    helps: bool,
    interval: Duration,
}

/// What a runtime has answered, or why it has not.
type Answer = Result<Snapshot, String>;

/// Asks in a thread of its own, for the runtime may not answer: each time when it is sent something.
fn asker(
    ask: impl Fn() -> Result<Snapshot, Failed> + Send + 'static,
) -> std::io::Result<(Sender<()>, Receiver<Answer>)> {
    let (questions, to_ask) = mpsc::channel();
    let (answers, answered) = mpsc::channel();
    let work = move || {
        while to_ask.recv().is_ok() {
            let answer = ask().map_err(|failed| match failed {
                Failed::Message(why)
                | Failed::Refused(_, why)
                | Failed::NotRunning(why)
                | Failed::Silent(why) => why,
                _ => "the runtime cannot be asked".to_owned(),
            });
            if answers.send(answer).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("chi-top".into()).spawn(work)?;
    Ok((questions, answered))
}

/// Shows what `ask` returns, until the person leaves.
pub(super) fn show(
    instance: &str,
    first: Snapshot,
    interval: Duration,
    ask: impl Fn() -> Result<Snapshot, Failed> + Send + 'static,
) -> Outcome {
    let mut screen = Screen {
        instance,
        view: View::between(&Snapshot::default(), &first),
        silent: None,
        kind: Kind::Methods,
        sorts: Kind::ALL.map(Kind::first_sort),
        selected: Default::default(),
        filter: String::new(),
        writes_filter: false,
        stopped: false,
        helps: false,
        interval,
    };
    // Whoever ends it finds the screen as it was before.
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        signal_hook::flag::register(signal, ended.clone())?;
    }
    let (questions, answers) = asker(ask)?;
    let mut terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
    let mut before = first;
    let shown = (|| -> std::io::Result<()> {
        let mut next = Instant::now() + screen.interval.min(Duration::from_millis(500));
        let mut asked: Option<Instant> = None;
        while !ended.load(Ordering::Relaxed) {
            terminal.draw(|frame| screen.draw(frame))?;
            let was = screen.interval;
            let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
            let mut is_there = event::poll(wait)?;
            // All that has been typed, before it is drawn.
            while is_there {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release && screen.press(key) => {
                        return Ok(());
                    }
                    _ => is_there = event::poll(Duration::ZERO)?,
                }
            }
            if screen.interval != was {
                next = Instant::now() + screen.interval;
            }
            match answers.try_recv() {
                Ok(Ok(now)) => {
                    screen.view = View::between(&before, &now);
                    (screen.silent, asked, before) = (None, None, now);
                }
                // It may be started again.
                Ok(Err(why)) => (screen.silent, asked) = (Some(why), None),
                Err(_) => {}
            }
            match asked {
                Some(since) if since.elapsed() >= SILENCE => {
                    let time = since.elapsed().as_secs_f64();
                    screen.silent = Some(format!("it has not answered for {time:.1} s"));
                }
                None if Instant::now() >= next && !screen.stopped => {
                    next = Instant::now() + screen.interval;
                    asked = Some(Instant::now());
                    // If the thread has ended, nothing new is shown, and that is said.
                    let _ = questions.send(());
                }
                _ => {}
            }
        }
        Ok(())
    })();
    ratatui::restore();
    shown.map_err(Failed::from)
}

impl Screen<'_> {
    fn table(&self) -> usize {
        Kind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or(0)
    }

    /// Does what a key says. True to leave.
    fn press(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code == KeyCode::Char('c');
        }
        if self.writes_filter {
            match key.code {
                KeyCode::Enter => self.writes_filter = false,
                KeyCode::Esc => (self.writes_filter, self.filter) = (false, String::new()),
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) if self.filter.len() < MOST_FILTER => self.filter.push(c),
                _ => {}
            }
            return false;
        }
        if self.helps {
            self.helps = false;
            return key.code == KeyCode::Char('q');
        }
        let at = self.table();
        let columns = self.kind.heads().len();
        let sort = &mut self.sorts[at];
        let selected = &mut self.selected[at];
        match key.code {
            KeyCode::Char('q') => return true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab => self.kind = Kind::ALL[(at + 1) % Kind::ALL.len()],
            KeyCode::BackTab => self.kind = Kind::ALL[(at + Kind::ALL.len() - 1) % Kind::ALL.len()],
            KeyCode::Char(c @ '1'..='5') => self.kind = Kind::ALL[c as usize - '1' as usize],
            KeyCode::Up | KeyCode::Char('k') => selected.select_previous(),
            KeyCode::Down | KeyCode::Char('j') => selected.select_next(),
            KeyCode::PageUp => selected.scroll_up_by(10),
            KeyCode::PageDown => selected.scroll_down_by(10),
            KeyCode::Home => selected.select_first(),
            KeyCode::End => selected.select_last(),
            KeyCode::Char('<') | KeyCode::Left => sort.column = sort.column.saturating_sub(1),
            KeyCode::Char('>') | KeyCode::Right => sort.column = (sort.column + 1).min(columns - 1),
            KeyCode::Char('r') => sort.ascending = !sort.ascending,
            KeyCode::Char('/') => self.writes_filter = true,
            KeyCode::Char(' ') => self.stopped = !self.stopped,
            KeyCode::Char('+') => self.interval = (self.interval * 2).min(INTERVALS[1]),
            KeyCode::Char('-') => self.interval = (self.interval / 2).max(INTERVALS[0]),
            KeyCode::Char('h' | '?') => self.helps = true,
            _ => {}
        }
        false
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        // The table is what most people look for.
        let room = frame.area().height / 3;
        let workers = (self.view.workers.len() as u16).min(8).min(room.saturating_sub(1));
        let parts = [
            Constraint::Length(2),
            Constraint::Length(workers),
            Constraint::Min(3),
            Constraint::Length(1),
        ];
        let [head, bars, middle, foot] = Layout::vertical(parts).areas(frame.area());
        self.draw_head(frame, head);
        self.draw_workers(frame, bars);
        self.draw_table(frame, middle);
        self.draw_foot(frame, foot);
        if self.helps {
            draw_help(frame);
        }
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let name = format!("chimaera {}  ", displayed(self.instance));
        let state = match &self.silent {
            Some(why) => Span::styled(displayed(why).into_owned(), bold.fg(Color::Red)),
            None => Span::raw(super::summary(&self.view)),
        };
        let text = Line::from(vec![Span::styled(name, bold), state]);
        let wrap = ratatui::widgets::Wrap { trim: true };
        frame.render_widget(Paragraph::new(text).wrap(wrap), area);
    }

    fn draw_workers(&self, frame: &mut Frame<'_>, area: Rect) {
        let shown = self.view.workers.iter().take(area.height as usize);
        for (line, worker) in shown.enumerate() {
            let area = Rect { y: area.y + line as u16, height: 1, ..area };
            let [name, bar, what] = Layout::horizontal([
                Constraint::Length(10),
                Constraint::Length(24),
                Constraint::Min(0),
            ])
            .spacing(1)
            .areas(area);
            frame.render_widget(Paragraph::new(format!("worker {}", worker.worker)), name);
            let gauge = Gauge::default().ratio(worker.busy.clamp(0.0, 1.0)).use_unicode(true);
            frame.render_widget(
                gauge.gauge_style(Style::new().fg(Color::Green).bg(Color::DarkGray)),
                bar,
            );
            let calls = format!("{} calls/s", tables::rate(worker.calls_per_s));
            let running = tables::running(worker);
            let what_text = match running.is_empty() {
                true => calls,
                false => format!("{calls}, {}", displayed(&running)),
            };
            frame.render_widget(Paragraph::new(what_text), what);
        }
    }

    fn draw_table(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let at = self.table();
        let sort = self.sorts[at];
        let rows = tables::rows(&self.view, self.kind, sort, &self.filter);
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|row| row.iter().map(|cell| displayed(cell).into_owned()).collect())
            .collect();
        let heads: Vec<String> = (0..)
            .zip(self.kind.heads())
            .map(|(number, head)| match (number == sort.column, sort.ascending) {
                (true, true) => format!("{head} ^"),
                (true, false) => format!("{head} v"),
                (false, _) => head.to_owned(),
            })
            .collect();
        use unicode_width::UnicodeWidthStr;
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].width());
            cells.chain([heads[column].width()]).max().unwrap_or(0) as u16
        };
        let widths: Vec<u16> = (0..heads.len()).map(width).collect();
        // Whole columns are left out where there is no room, so that no number seems to be another one.
        let shown = fitting(&widths, sort.column, area.width.saturating_sub(2));
        let only = |all: &[String]| shown.iter().map(|&at| all[at].clone()).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| only(row)).collect();
        let heads = only(&heads);
        let widths: Vec<Constraint> =
            shown.iter().map(|&column| Constraint::Length(widths[column])).collect();
        let tabs = Kind::ALL.iter().enumerate().map(|(number, kind)| {
            let style = match *kind == self.kind {
                true => Style::new().add_modifier(Modifier::REVERSED),
                false => Style::new(),
            };
            Span::styled(format!(" {} {} ", number + 1, kind.title()), style)
        });
        let block = Block::bordered().title(Line::from(tabs.collect::<Vec<_>>()));
        let head = Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD));
        let table = Table::new(rows.into_iter().map(Row::new), widths)
            .header(head)
            .block(block)
            .column_spacing(SPACING)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, area, &mut self.selected[at]);
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let every = self.interval.as_secs_f64();
        let text = match (self.writes_filter, self.filter.is_empty()) {
            (true, _) => format!("/{}_", displayed(&self.filter)),
            (false, false) => {
                format!("only rows with \"{}\"  Esc drops it", displayed(&self.filter))
            }
            (false, true) if self.stopped => "stopped  Space goes on".to_owned(),
            _ => format!(
                "q leave  h help  Tab tables  < > r sort  / filter  Space stop  every {every} s"
            ),
        };
        frame.render_widget(Paragraph::new(text), area);
    }
}

/// The blanks between two columns.
const SPACING: u16 = 2;

/// The columns for which there is room: the first two, the one by which rows are sorted, and of the others the first.
fn fitting(widths: &[u16], sort: usize, mut room: u16) -> Vec<usize> {
    let mut shown = Vec::new();
    let others = (0..widths.len()).filter(|column| *column > 1 && *column != sort);
    let first = [0, 1, sort].into_iter().filter(|column| *column < widths.len());
    for column in first.chain(others) {
        let needs = widths[column].saturating_add(if shown.is_empty() { 0 } else { SPACING });
        if shown.contains(&column) {
            continue;
        }
        // The first is shown as far as it goes.
        if needs > room && !shown.is_empty() {
            break;
        }
        room = room.saturating_sub(needs);
        shown.push(column);
    }
    shown.sort_unstable();
    shown
}

fn draw_help(frame: &mut Frame<'_>) {
    let (lines, columns) = (HELP.lines().count() as u16 + 2, 66);
    let all = frame.area();
    let area = Rect {
        x: all.x + all.width.saturating_sub(columns) / 2,
        y: all.y + all.height.saturating_sub(lines) / 2,
        width: columns.min(all.width),
        height: lines.min(all.height),
    };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_shown_whole_or_not_at_all() {
        let widths = [10, 5, 8, 8, 20];
        assert_eq!(fitting(&widths, 2, 100), [0, 1, 2, 3, 4]);
        assert_eq!(fitting(&widths, 2, 27), [0, 1, 2]);
        assert_eq!(fitting(&widths, 4, 39), [0, 1, 4]);
        assert_eq!(fitting(&widths, 4, 30), [0, 1]);
        assert_eq!(fitting(&widths, 0, 3), [0]);
        assert_eq!(fitting(&widths, 9, 100), [0, 1, 2, 3, 4]);
    }
}
