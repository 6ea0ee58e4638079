from fer_core.plugin import Template

PASSPORT = Template(
    poses=(((70.0, 95.0), (130.0, 95.0), (100.0, 130.0), (78.0, 160.0), (122.0, 160.0)),),
    size=200,
    source="https://example.org/passport",
)
