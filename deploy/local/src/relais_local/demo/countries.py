"""The demo's six countries: names, cities, languages and prices that look like life. Every letter is in the GSM alphabet."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    code: str
    """ISO 3166, as attribute `country` and as phonenumbers' region."""
    share: float
    """Of the audience."""
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    cities: tuple[str, ...]
    locales: tuple[tuple[str, float], ...]
    time_zones: tuple[tuple[str, float], ...]
    currency: str = "EUR"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The GSM alphabet (3GPP TS 23.038, section 6.2.1) has é, è, à, ù, ì, ò, ñ, ä, ö, ü and ß, and lacks ê, ç, í, ó and ú:
# one such letter in a name more than doubles the price of its message.
COUNTRIES = (
    Country(
        "FR", 0.40,
        _words("Camille Chloé Inès Jade Léa Manon Sarah Zélie Adam André Gabriel Hugo Jules Léo Louis Lucas Nathan Théo Yanis René"),
        _words("Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefebvre Michel Garnier Faure"),
        _words("Paris Lyon Marseille Toulouse Nantes Lille Bordeaux Rennes Grenoble Dijon"),
        (("fr", 0.96), ("en", 0.04)),
        (("Europe/Paris", 1.0),),
    ),
    Country(
        "DE", 0.16,
        _words("Anna Emma Hanna Lena Mia Jörg Ben Felix Jonas Lukas Max Paul Jürgen Käthe Sören Greta"),
        _words("Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Köhler Krüger"),
        _words("Berlin Hamburg München Köln Frankfurt Stuttgart Leipzig Dresden"),
        (("en", 0.7), ("de", 0.3)),
        (("Europe/Berlin", 1.0),),
    ),
    Country(
        "ES", 0.12,
        _words("Carmen Elena Isabel Laura Marta Paula Alejandro Carlos Daniel Diego Javier Manuel Pablo Sergio Begoña Iñaki"),
        _words("Fernando Moreno Romero Navarro Torres Vargas Serrano Molina Ortega Castro Rubio Muñoz"),
        _words("Madrid Barcelona Valencia Sevilla Zaragoza Bilbao Murcia Palma"),
        (("en", 0.7), ("es", 0.3)),
        (("Europe/Madrid", 0.95), ("Atlantic/Canary", 0.05)),
    ),
    Country(
        "IT", 0.12,
        _words("Alice Aurora Chiara Giulia Martina Sofia Alessandro Andrea Davide Francesco Lorenzo Marco Matteo Nicolò"),
        _words("Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo"),
        _words("Roma Milano Napoli Torino Palermo Genova Bologna Firenze"),
        (("en", 0.7), ("it", 0.3)),
        (("Europe/Rome", 1.0),),
    ),
    Country(
        "BE", 0.08,
        _words("Louise Emma Olivia Mila Juliette Noah Arthur Liam Jules Adam Victor Lucas Noé Eléna"),
        _words("Peeters Janssens Maes Jacobs Mertens Willems Claes Goossens Dubois Lambert Dupont Simon"),
        _words("Bruxelles Anvers Gand Charleroi Namur Mons Bruges"),
        (("fr", 0.6), ("nl", 0.2), ("en", 0.2)),
        (("Europe/Brussels", 1.0),),
    ),
    Country(
        "GB", 0.12,
        _words("Amelia Ava Grace Isla Lily Olivia Sophie Alfie Charlie George Harry Jack Oliver Oscar Thomas William"),
        _words("Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Wright Walker Hughes"),
        _words("London Manchester Birmingham Leeds Glasgow Cardiff Belfast Bristol"),
        (("en", 1.0),),
        (("Europe/London", 1.0),),
        currency="GBP",
    ),
)  # fmt: skip
