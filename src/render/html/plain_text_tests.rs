//! What a reader of the HTML sees is what the text part says.

use super::*;

#[test]
fn keeps_what_a_reader_sees() {
    for (html, text) in [
        ("", ""),
        ("<p>Hi  <b>Ann</b>,\n you</p><p>did it</p>", "Hi Ann, you\n\ndid it"),
        ("<a href=\"https://a.test/?a=1&amp;b=2\">Go</a>", "Go (https://a.test/?a=1&b=2)"),
        (
            "<a href=\"https://a.test\">https://a.test</a> <a href=\"mailto:a@b.test\">a@b.test</a>",
            "https://a.test a@b.test",
        ),
        ("<a href=\"https://a.test\"><img alt=\"Badge\" src=x></a>", "Badge (https://a.test)"),
        ("<a href=\"https://a.test/a b\"><p>One</p></a><p>Two</p>", "One (https://a.test/a%20b)\n\nTwo"),
        ("<a href=\"#top\">Up</a> <a>no</a> <a href=\"tel:+331\">+331</a>", "Up no +331"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<ul><li>one<ul><li>a<li>b</ul><li><p>two</p><li></ul>end", "- one\n  - a\n  - b\n- two\n\nend"),
        ("<ol start=3><li><a href=\"https://a.test\">x</a><li>y</ol>", "3. x (https://a.test)\n4. y"),
        ("<table><tr><td>Logins</td><td>12</td></tr><tr><td>Polls</td><td>3</td></tr></table>", "Logins  12\nPolls  3"),
        ("<table><tr><td>a<td><td>b<tr><td>c</table>d", "a  b\nc\n\nd"),
        ("a<!-- b --><!--[if mso]><p>c</p><![endif]-->d<!--[if !mso]><!-->e<!--<![endif]-->", "ade"),
        ("&lt;b&gt; &amp; caf&eacute;", "<b> & café"),
        ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
        ("a<hr>b<br></p><p>c", "a\n\nb\n\nc"),
        ("<script>alert(1)</script>ok<p>", "ok"),
        ("<pre>a\n  b\n\nc</pre>d", "a\n  b\n\nc\n\nd"),
        ("a&nbsp;b &nbsp; c&nbsp;", "a\u{a0}b c"),
        ("a&#8203;b&shy;c &zwnj;&nbsp;&zwnj;&nbsp;", "abc"),
        ("نمی\u{200c}خواهم 👨\u{200d}👩", "نمی\u{200c}خواهم 👨\u{200d}👩"),
    ] {
        assert_eq!(of_html(html), text, "{html}");
    }
}

#[test]
fn leaves_out_what_is_hidden_and_only_that() {
    for (html, text) in [
        ("<head><title>t</title><style>p{}</style></head><div style=\"display: none\">x<div>y</div></div>z", "z"),
        ("<html><head><title>t</title><body>z", "z"),
        ("<head><title>t</title>z<p>y", "z\n\ny"),
        ("<p hidden>a<p>b", "b"),
        ("<table><tr style='display:none'><td>a<tr><td>b</table>", "b"),
        ("<ul><li hidden>a<li>b</ul>", "- b"),
        ("<p style=\"DISPLAY : NONE !important; display:block\">a</p>b", "b"),
        ("<p style=\"display:none;display:block\">a</p>b", "a\n\nb"),
        ("<p style=\"visibility:hidden\">a</p>b", "b"),
        ("<p class=\"display:none\">a</p>b", "a\n\nb"),
        ("<img style=\"display:none\" alt=a><img hidden alt=b><img alt=c>", "c"),
        ("<div hidden/>a</div>b", "b"),
        ("<svg><path/><text>a</text></svg>b", "b"),
        ("<b><p hidden>x</b>y</p>z", "z"),
        ("<a href=\"https://a.test\"><span hidden>x</span></a>y", "(https://a.test) y"),
        ("<span hidden>a</div></span>b", "b"),
        ("<p aria-hidden=\"true\">a</p>", "a"),
    ] {
        assert_eq!(of_html(html), text, "{html}");
    }
}
