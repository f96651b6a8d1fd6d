//~ no method named `colour` found for struct `PreferencesFields

use orlop::document::*;

#[derive(Embedded)]
pub struct Preferences {
    pub theme: String,
}

#[derive(Document)]
#[document(collection = "users")]
#[index(preferences.colour)]
pub struct User {
    #[document(id)]
    pub id: Id<User>,
    pub preferences: Preferences,
}
