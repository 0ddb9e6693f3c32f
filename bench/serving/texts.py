"""Documents and prompts made from a seed: plain English words, so that every tokenizer sees what it sees
in life, and no two documents share more than a few words in a row."""

import random

NOUNS = """river harbor engine market valley garden winter signal village captain forest mirror kitchen
window doctor teacher bridge letter mountain island library painter traveler machine harvest festival
orchard station journal ladder lantern blanket hammer compass sailor farmer builder weaver merchant
soldier singer granite copper silver timber cotton barley salmon falcon badger meadow desert glacier
canyon prairie tunnel cellar attic chapel castle market factory workshop laboratory museum theater""".split()
VERBS = """carries watches repairs follows gathers measures visits crosses studies paints collects guards
counts lifts sells borrows opens closes remembers describes designs delivers explores examines protects
records restores searches shares supports teaches trades weighs improves changes discovers explains
""".split()
ADJECTIVES = """quiet bright heavy narrow ancient modern careful distant famous gentle hidden honest large
little local lonely lucky muddy northern plain polite proud rapid rough rural shallow silent simple slow
solid strange strong sudden tall warm western wooden yellow young""".split()
PLACES = """near the old mill|behind the long wall|under the railway arch|beyond the last field|at the edge
of town|inside the main hall|along the east road|above the narrow pass|beside the frozen lake|across the
wide square|before the first snow|after the long rain|during the spring fair|without any help|with great
care|for the second time|in the early morning|late in the evening""".replace("\n", " ").split("|")
NAMES = """Alma Bruno Carla Dario Elena Felix Greta Hugo Irma Jonas Karin Lukas Marta Nils Olga Pavel
Quinn Rosa Simon Tilda Ulrich Vera Walter Xenia Yusuf Zelda""".split()
QUESTIONS = [
    "Describe in detail what happens in this text, step by step.",
    "Write a long summary of the text for a newspaper.",
    "Which persons and places are named? Explain each of them at length.",
    "Explain in several sentences why these events matter for the town.",
    "Retell the middle of the text in your own words, at length.",
    "Write a story of several paragraphs that goes on where this text ends.",
    "List ten facts from the text, each as a full sentence.",
    "Compare the beginning of the text with its end, in detail.",
]
# Tokens a sentence of sentence() has on average with the tokenizer of the bench's model.
TOKENS_PER_SENTENCE = 14.76


def sentence(random_):
    pick = random_.choice
    name = pick(NAMES)
    return (f"The {pick(ADJECTIVES)} {pick(NOUNS)} of {name} {pick(VERBS)} the {pick(ADJECTIVES)} "
            f"{pick(NOUNS)} {pick(PLACES)}.")


def document(seed, tokens):
    """About `tokens` tokens of sentences; another seed shares nothing with it."""
    random_ = random.Random(f"document {seed}")
    return " ".join(sentence(random_) for _ in range(max(1, round(tokens / TOKENS_PER_SENTENCE))))


def user(text):
    return {"role": "user", "content": text}


def question_about(seed, tokens, question):
    return [user(f"{document(seed, tokens)}\n\n{QUESTIONS[question % len(QUESTIONS)]}")]


def pauses(seed, count, median_s=2.0, sigma=0.6):
    """Log-normal times of a tool."""
    random_ = random.Random(f"pauses {seed}")
    return [random_.lognormvariate(0, sigma) * median_s for _ in range(count)]
