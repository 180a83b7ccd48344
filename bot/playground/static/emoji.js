// Emoji short names as Slack writes them, in reading order of the picker. No pictures: the system's font draws them.

const TABLE = `
grinning 😀|smiley 😃|smile 😄|grin 😁|laughing 😆|sweat_smile 😅|joy 😂|rofl 🤣|slightly_smiling_face 🙂|upside_down_face 🙃
wink 😉|blush 😊|innocent 😇|heart_eyes 😍|star-struck 🤩|kissing_heart 😘|yum 😋|stuck_out_tongue 😛|zany_face 🤪|hugging_face 🤗
face_with_hand_over_mouth 🤭|shushing_face 🤫|thinking_face 🤔|saluting_face 🫡|zipper_mouth_face 🤐|face_with_raised_eyebrow 🤨
neutral_face 😐|expressionless 😑|no_mouth 😶|smirk 😏|unamused 😒|face_with_rolling_eyes 🙄|grimacing 😬|relieved 😌|pensive 😔
sleepy 😪|sleeping 😴|mask 😷|nauseated_face 🤢|exploding_head 🤯|face_with_cowboy_hat 🤠|partying_face 🥳|sunglasses 😎|nerd_face 🤓
confused 😕|worried 😟|slightly_frowning_face 🙁|open_mouth 😮|astonished 😲|flushed 😳|pleading_face 🥺|cry 😢|sob 😭|scream 😱
disappointed 😞|sweat 😓|weary 😩|tired_face 😫|triumph 😤|rage 😡|angry 😠|skull 💀|ghost 👻|alien 👽|robot_face 🤖|see_no_evil 🙈
wave 👋|raised_hand ✋|ok_hand 👌|v ✌️|crossed_fingers 🤞|call_me_hand 🤙|point_left 👈|point_right 👉|point_up ☝️|point_down 👇
+1 👍|-1 👎|fist ✊|punch 👊|clap 👏|raised_hands 🙌|open_hands 👐|handshake 🤝|pray 🙏|muscle 💪|writing_hand ✍️|eyes 👀|brain 🧠
heart ❤️|orange_heart 🧡|yellow_heart 💛|green_heart 💚|blue_heart 💙|purple_heart 💜|black_heart 🖤|broken_heart 💔|100 💯|boom 💥
zap ⚡|fire 🔥|sparkles ✨|star ⭐|star2 🌟|sunny ☀️|cloud ☁️|rainbow 🌈|snowflake ❄️|umbrella ☔|ocean 🌊|earth_africa 🌍|moon 🌙
dog 🐶|cat 🐱|bear 🐻|panda_face 🐼|unicorn_face 🦄|bee 🐝|bug 🐛|turtle 🐢|snake 🐍|octopus 🐙|penguin 🐧|owl 🦉|seedling 🌱|evergreen_tree 🌲
four_leaf_clover 🍀|mushroom 🍄|apple 🍎|banana 🍌|lemon 🍋|strawberry 🍓|avocado 🥑|bread 🍞|pizza 🍕|taco 🌮|sushi 🍣|cookie 🍪|cake 🍰
birthday 🎂|coffee ☕|tea 🍵|beer 🍺|beers 🍻|champagne 🍾|tada 🎉|confetti_ball 🎊|balloon 🎈|gift 🎁|trophy 🏆|medal 🏅|soccer ⚽|dart 🎯
guitar 🎸|microphone 🎤|headphones 🎧|art 🎨|game_die 🎲|rocket 🚀|airplane ✈️|car 🚗|bike 🚲|ship 🚢|house 🏠|office 🏢|hospital 🏥
calendar 📅|date 📆|alarm_clock ⏰|hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|watch ⌚|iphone 📱|computer 💻|keyboard ⌨️|desktop_computer 🖥️
bulb 💡|battery 🔋|electric_plug 🔌|wrench 🔧|hammer 🔨|gear ⚙️|toolbox 🧰|microscope 🔬|test_tube 🧪|mag 🔍|lock 🔒|unlock 🔓|key 🔑|shield 🛡️
book 📖|books 📚|bookmark 🔖|memo 📝|pencil2 ✏️|pushpin 📌|paperclip 📎|scissors ✂️|file_folder 📁|clipboard 📋|page_facing_up 📄|chart_with_upwards_trend 📈
chart_with_downwards_trend 📉|bar_chart 📊|email 📧|incoming_envelope 📨|inbox_tray 📥|package 📦|mega 📣|loudspeaker 📢|bell 🔔|no_bell 🔕
speech_balloon 💬|thought_balloon 💭|moneybag 💰|wastebasket 🗑️|link 🔗|warning ⚠️|rotating_light 🚨|construction 🚧|octagonal_sign 🛑|no_entry ⛔
no_entry_sign 🚫|x ❌|o ⭕|white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|heavy_plus_sign ➕|heavy_minus_sign ➖|question ❓
grey_question ❔|exclamation ❗|bangbang ‼️|information_source ℹ️|sos 🆘|new 🆕|ok 🆗|cool 🆒|up 🆙|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️
arrows_counterclockwise 🔄|leftwards_arrow_with_hook ↩️|recycle ♻️|red_circle 🔴|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵
white_circle ⚪|black_circle ⚫|one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣|keycap_ten 🔟|checkered_flag 🏁|triangular_flag_on_post 🚩|de 🇩🇪|us 🇺🇸|gb 🇬🇧|fr 🇫🇷
`;

const BY_NAME = new Map(
  TABLE.trim()
    .split(/[|\n]/)
    .map((entry) => entry.trim().split(" "))
    .map(([name, glyph]) => [name, glyph]),
);

const ALIASES = {
  thumbsup: "+1",
  thumbsdown: "-1",
  simple_smile: "slightly_smiling_face",
  satisfied: "laughing",
  thinking: "thinking_face",
  hugs: "hugging_face",
  robot: "robot_face",
  unicorn: "unicorn_face",
  panda: "panda_face",
  envelope: "email",
  hand: "raised_hand",
  facepunch: "punch",
  red_heart: "heart",
  stop_sign: "octagonal_sign",
  flag_de: "de",
  "flag-de": "de",
  collision: "boom",
};

const SKIN = ["", "\u{1F3FB}", "\u{1F3FC}", "\u{1F3FD}", "\u{1F3FE}", "\u{1F3FF}"];

export const QUICK_REACTIONS = ["white_check_mark", "eyes", "raised_hands", "+1", "-1"];

/** Turn a short name (`+1`, `wave::skin-tone-3`) into its character; null when it is not known. */
export function glyphOf(name) {
  const [base, tone] = name.split("::skin-tone-");
  const glyph = BY_NAME.get(ALIASES[base] ?? base);
  if (!glyph) return null;
  return tone ? glyph.replace("\u{FE0F}", "") + (SKIN[Number(tone) - 1] ?? "") : glyph;
}

/** Text with known short names as characters, for places that hold no nodes (options, titles). */
export const emojiText = (text) =>
  text.replace(/:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):/g, (whole, name) => glyphOf(name) ?? whole);

/** Short names that fit what was typed: those that begin with it first. */
export function findEmoji(text, limit = 400) {
  const typed = text.toLowerCase().replaceAll(" ", "_");
  const names = [...BY_NAME.keys()];
  const starts = names.filter((name) => name.startsWith(typed));
  const aliased = Object.keys(ALIASES)
    .filter((name) => typed && name.startsWith(typed))
    .map((name) => ALIASES[name]);
  const holds = names.filter((name) => !name.startsWith(typed) && name.includes(typed));
  return [...new Set([...starts, ...aliased, ...holds])]
    .slice(0, limit)
    .map((name) => ({ name, glyph: BY_NAME.get(name) }));
}
