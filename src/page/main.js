// The page begins here: each view registers itself, in the order of the navigation.
import './login.js';
import './keys.js';
import './make.js';
import './look.js';
import {start} from './frame.js';

start();
