//! Each place has its own escape, and what is no listed place is refused.

use super::*;

const PLAIN: Context = Context::Attribute(&[ESCAPE]);
const WHOLE: Context = Context::Attribute(&[URL, ESCAPE]);
const REST: Context = Context::Attribute(&[URL_REST, ESCAPE]);
const VALUE: Context = Context::Attribute(&[CSS, ESCAPE]);

/// Indexes stand for: even a value, odd tags in turn.
fn at(html: &str) -> Vec<Context> {
    let tags = ["if", "else", "endif", "for", "endfor"];
    contexts(html, |index| if index % 2 == 0 { Piece::Value } else { Piece::Tag(tags[index / 2 % 5].into()) })
}

fn short(html: &str) -> String {
    let mut number = 0;
    let mut written = String::new();
    for letter in html.chars() {
        let index = match letter {
            '§' => {
                number += 10;
                number
            }
            '①' => 1,
            '②' => 3,
            '③' => 5,
            other => {
                written.push(other);
                continue;
            }
        };
        written.push_str(&stand_ins::stand_in(index));
    }
    written
}

fn value(html: &str) -> Context {
    let html = short(html);
    let words = stand_ins::find(&html);
    let position = words.iter().rposition(|(_, index)| index % 2 == 0).expect("a value");
    at(&html).swap_remove(position)
}

#[test]
fn tells_places_apart() {
    for (html, context) in [
        ("<p>§</p>", Context::Text),
        ("<!-- § -->", Context::Comment),
        ("<title>§</title>", Context::Text),
        ("<p title=\"é\"\r\n alt='§'>", PLAIN),
        ("<td width=\"§\">", PLAIN),
        ("<p data-x=\"§\">", PLAIN),
        ("<meta name=\"description\" content=\"§\">", PLAIN),
        ("<a href=\"§\">", WHOLE),
        ("<a href=\" §\">", WHOLE),
        ("<a href=\"①§③\">", WHOLE),
        ("<!--[if mso]><v:rect href=\"§\"><![endif]-->", WHOLE),
        ("<td background='§'>", WHOLE),
        ("<a href=\"§§\">", REST),
        ("<a href=\"java§\">", REST),
        ("<a href=\"§/u/§\">", Context::Piece),
        ("<a href=\"§&x=§\">", Context::Piece),
        ("<a href=\"https://a.test/§\">", Context::Piece),
        ("<a href=\"https://a.test?q=§\">", Context::Piece),
        ("<a href=\"https://a.test/?①a=§&③q=§\">", Context::Piece),
        ("<a href=\"https://a.test/#§\">", Context::Piece),
        ("<a href=\"https://§.a.test/\">", Context::Piece),
        ("<a href=\"/§\">", Context::Piece),
        ("<a href=\"①§②https://a.test③/x/§\">", Context::Piece),
        ("<a href=\"https://§\">", Context::Attribute(&[URL_TAIL, ESCAPE])),
        ("<a href=\"https://§/x\">", Context::Attribute(&[URL_TAIL, ESCAPE])),
        ("<a href=\"mailto:§\">", Context::Attribute(&[URL_OPAQUE, ESCAPE])),
        ("<a href=\"mailto:a@b.test?subject=§\">", Context::Piece),
        ("<p style=\"color:§\">", VALUE),
        ("<p style=\"①color:red;③width: §px\">", VALUE),
        ("<p style=\"color: rgb(§,0,0)\">", VALUE),
        ("<p style=\"font-family:'§'\">", Context::Attribute(&[CSS_TEXT, ESCAPE])),
        ("<p style=\"background:#fff url('§') center\">", Context::Attribute(&[CSS_URL, ESCAPE])),
        ("<p style=\"background:url(§)\">", Context::Attribute(&[CSS_URL, ESCAPE])),
        ("<p style=\"background:url(https://a.test/§.png)\">", Context::Piece),
    ] {
        assert_eq!(value(html), context, "{html}");
    }
}

#[test]
fn refuses_what_is_not_listed() {
    for html in [
        "<p §>",
        "<p §=\"a\">",
        "<§>",
        "</§>",
        "<p title=§>",
        "<p title=a-§>",
        "<p onclick=\"§\">",
        "<p OnClick='§'>",
        "<style>p{color:§}</style>",
        "<script>§</script>",
        "<iframe>§</iframe>",
        "<iframe srcdoc=\"§\">",
        "<iframe src=\"§\">",
        "<meta http-equiv=\"refresh\" content=\"0;url=§\">",
        "<base href=\"https://§/\">",
        "<link href=\"§\">",
        "<object data=\"§\">",
        "<embed src=\"§\">",
        "<param value=\"§\">",
        "<a ping=\"§\">",
        "<a xlink:href=\"§\">",
        "<img srcset=\"§ 2x\">",
        "<svg><animate to=\"§\"></svg>",
        "<svg><set to=\"§\"></svg>",
        "<p style=\"§\">",
        "<p style=\"color:red;§\">",
        "<p style=\"§:red\">",
        "<p style=\"①color:③§\">",
        "<p style=\"/*§*/\">",
        "<a href=\"§:alert(1)\">",
        "<a href=\"§:§\">",
        "<a href=\"https:§\">",
        "<a href=\"①https://a.test/③§\">",
        "<p title=\"a\" title=\"§\">",
        "<!--[if mso]><style>§</style><![endif]-->",
    ] {
        assert!(matches!(value(html), Context::Refused(..)), "{html}: {:?}", value(html));
    }
}

#[test]
fn finds_addresses_that_run_code() {
    for html in [
        "<a href=\" JavaScript:x\">",
        "<a href=\"java&#10;script&colon;x\">",
        "<a href=\"data:text/html,x\">",
        "<p style=\"background:url( javascript:x)\">",
        "<meta http-equiv=refresh content=\"0;url=javascript:x\">",
    ] {
        assert_eq!(dangerous_addresses(html).len(), 1, "{html}");
    }
    assert!(dangerous_addresses("<a href=\"https://a.test\"><img src=\"data:image/png;base64,x\">").is_empty());
}
