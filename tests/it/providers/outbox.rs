//! The outbox: files that mail programs open, and a gallery that people open.

use std::fs;

use milepost::providers::Attempt;

use super::{attempt, config, connect, message, messages, names};

#[tokio::test]
async fn the_gallery_lists_what_was_written_and_escapes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = connect(&config("outbox", &[]), folder.path());
    let mut hostile = message(7);
    hostile.subject = "<script>alert('x')</script> --> & \"quoted\"".into();
    hostile.html = "<p>the hostile one</p>".into();
    attempt(provider.as_ref(), &[message(1), hostile.clone()], "key").await;
    provider.finish().await.expect("the index is written");
    let outbox = folder.path().join("outbox");
    let index = fs::read_to_string(outbox.join("index.html")).expect("an index");
    assert!(index.contains("2 mails") && index.contains("Milestone 1"), "{index}");
    assert!(!index.contains("<script"), "{index}");
    assert!(
        index.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; --&gt; &amp; &quot;quoted&quot;"),
        "{index}"
    );
    assert!(index.contains(&format!("pages/{}.html", hostile.delivery_id)), "{index}");
    let page = fs::read_to_string(outbox.join(format!("pages/{}.html", hostile.delivery_id))).expect("a page");
    assert!(page.ends_with("-->\n<p>the hostile one</p>"), "{page}");
    assert_eq!(page.matches("-->").count(), 1, "a subject must not end the comment: {page}");
    let leftovers = fs::read_dir(&outbox).expect("the outbox").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "part"))
    });
    assert_eq!(leftovers.count(), 0);
}

#[tokio::test]
async fn a_large_outbox_shows_the_newest_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for run in 0..2 {
        let provider = connect(&config("outbox", &[]), folder.path());
        for chunk in messages(620).chunks(100) {
            let mut chunk = chunk.to_vec();
            for message in &mut chunk {
                message.delivery_id.replace_range(0..1, if run == 0 { "a" } else { "b" });
                message.date += jiff::SignedDuration::from_hours(24 * run);
            }
            assert_eq!(names(&attempt(provider.as_ref(), &chunk, "key").await), vec!["accepted"; chunk.len()]);
        }
        provider.finish().await.expect("the index is written");
    }
    let index = fs::read_to_string(folder.path().join("outbox/index.html")).expect("an index");
    assert!(index.contains("1240 mails, the newest 500 on this page"), "{index}");
    assert_eq!(index.matches("<li ").count(), 500);
    assert!(!index.contains("pages/a"), "the newest run is shown");
    let pages = folder.path().join("outbox/pages");
    let page = |name: &str| fs::read_to_string(pages.join(name)).expect("a further page");
    let (second, third) = (page("list-2.html"), page("list-3.html"));
    assert!(index.contains("pages/list-3.html") && third.contains("../index.html"));
    for mail in fs::read_dir(folder.path().join("outbox")).expect("mails").flatten() {
        let name = mail.file_name().to_string_lossy().into_owned();
        let is_reachable = [&index, &second, &third].iter().any(|page| page.contains(&format!("{name}\"")));
        assert!(is_reachable || mail.path().extension().is_none_or(|extension| extension != "eml"), "{name}");
    }
    assert!(!index.contains("job-1.html"), "one job needs no choice");
    let mails = fs::read_dir(&pages).expect("pages").flatten().filter(|entry| entry.file_name().len() == 37).count();
    assert_eq!(mails, 500, "the newest have pages of their own");
}

#[tokio::test]
async fn mails_of_one_job_can_be_chosen_and_files_of_others_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = connect(&config("outbox", &[]), folder.path());
    for (number, job) in [(1, "streaks"), (2, "digest <b>"), (3, "streaks")] {
        let messages = [message(number)];
        provider.attempt(Attempt { job, messages: &messages, idempotency_key: "key" }).await;
    }
    let pages = folder.path().join("outbox/pages");
    fs::write(pages.join("notes.html"), "mine").expect("written");
    provider.finish().await.expect("the index is written");
    let index = fs::read_to_string(folder.path().join("outbox/index.html")).expect("an index");
    assert!(index.contains("digest &lt;b&gt;") && index.contains("> streaks</label>"), "{index}");
    assert_eq!((index.matches("<li class=\"j0\">").count(), index.matches("<li class=\"j1\">").count()), (1, 2));
    assert!(index.contains("#c1:checked) li:not(.j1)"), "{index}");
    assert!(!index.contains("<script"), "{index}");
    assert_eq!(fs::read_to_string(pages.join("notes.html")).expect("left alone"), "mine");
}

#[tokio::test]
async fn a_job_whose_mails_are_old_has_a_list_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = connect(&config("outbox", &[]), folder.path());
    let mut old = message(9_999);
    old.date -= jiff::SignedDuration::from_hours(24);
    let old_id = old.delivery_id.clone();
    provider.attempt(Attempt { job: "digest", messages: &[old], idempotency_key: "key" }).await;
    for chunk in messages(600).chunks(100) {
        provider.attempt(Attempt { job: "streaks", messages: chunk, idempotency_key: "key" }).await;
    }
    provider.finish().await.expect("the index is written");
    let outbox = folder.path().join("outbox");
    let index = fs::read_to_string(outbox.join("index.html")).expect("an index");
    assert!(!index.contains(&old_id) && index.contains("href=\"pages/job-1.html\">digest</a>"), "{index}");
    let digest = fs::read_to_string(outbox.join("pages/job-1.html")).expect("the list of the job");
    assert_eq!(digest.matches("<li ").count(), 1);
    assert!(digest.contains(&format!("../{old_id}.eml")) && digest.contains("601 mails, 1 of them"), "{digest}");
    let streaks = fs::read_to_string(outbox.join("pages/job-2.html")).expect("the list of the job");
    assert_eq!(streaks.matches("<li ").count(), 600);
}

#[tokio::test]
async fn mails_that_somebody_removed_and_mails_without_a_line_are_told_from_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let outbox = folder.path().join("outbox");
    let provider = connect(&config("outbox", &[]), folder.path());
    attempt(provider.as_ref(), &messages(3), "key").await;
    let ids: Vec<String> = messages(3).into_iter().map(|message| message.delivery_id).collect();
    fs::remove_file(outbox.join(format!("{}.eml", ids[0]))).expect("it was there");
    fs::write(outbox.join("ffffffffffffffffffffffffffffffff.eml"), "by an earlier version").expect("written");
    provider.finish().await.expect("the index is written");
    let index = fs::read_to_string(outbox.join("index.html")).expect("an index");
    assert!(index.contains("3 mails") && !index.contains(&ids[0]), "{index}");
    assert!(index.contains("ffffffffffffffffffffffffffffffff.eml"), "{index}");
}

#[tokio::test]
async fn without_a_mail_there_is_no_page_and_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = connect(&config("outbox", &[("dir", "a/b".into())]), folder.path());
    assert_eq!(provider.finish().await.expect("nothing to do"), None);
    assert!(!folder.path().join("a").exists());
    attempt(provider.as_ref(), &messages(1), "key").await;
    assert_eq!(provider.finish().await.expect("written"), Some(folder.path().join("a/b/index.html")));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_proves_that_nothing_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("outbox"), "a file in its place").expect("written");
    let provider = connect(&config("outbox", &[]), folder.path());
    let outcomes = attempt(provider.as_ref(), &messages(2), "key").await;
    assert_eq!(names(&outcomes), ["not_accepted"; 2]);
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_refused_by_check_and_run() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("web/pages")).expect("made");
    for file in ["index.html", "pages/about.html"] {
        fs::write(folder.path().join("web").join(file), "<p>ours</p>").expect("written");
    }
    let entry = config("outbox", &[("dir", "web".into())]);
    let findings = milepost::providers::check(&entry, folder.path());
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["foreign-folder"]);
    assert!(findings[0].message.contains("`index.html`") && findings[0].help.is_some(), "{findings:?}");
    assert!(milepost::providers::connect(&entry, folder.path()).is_err());
    assert_eq!(fs::read_to_string(folder.path().join("web/index.html")).expect("there"), "<p>ours</p>");
}

#[cfg(unix)]
#[tokio::test]
async fn mails_are_for_their_owner_alone_and_the_folder_is_taken_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let outbox = folder.path().join("outbox");
    for turn in 0..3 {
        let provider = connect(&config("outbox", &[]), folder.path());
        attempt(provider.as_ref(), &messages(1), "key").await;
        provider.finish().await.expect("written");
        for path in ["", "pages", "index.html"].map(|name| outbox.join(name)) {
            let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o077;
            assert_eq!(mode, 0, "{}", path.display());
        }
        if turn == 1 {
            // As earlier versions left it.
            fs::remove_file(outbox.join(".milepost-outbox")).expect("a marker");
        }
    }
}
